#include "chat/go_template.h"

#include <algorithm>
#include <utility>

namespace quipu {

namespace {

using gotmpl::NodeKind;

bool contains(const std::vector<std::string>& sorted, std::string_view name) {
  return std::binary_search(sorted.begin(), sorted.end(), name);
}

// The template with {{ .Response }} behind it.
gotmpl::Definitions with_response(const gotmpl::Definitions& definitions) {
  gotmpl::Definitions out = definitions;
  auto root = std::make_shared<gotmpl::ListNode>(*out.at(""));
  const auto field =
      std::make_shared<gotmpl::FieldNode>(gotmpl::FieldNode{{NodeKind::kField, 0}, {"Response"}});
  const auto command =
      std::make_shared<gotmpl::CommandNode>(gotmpl::CommandNode{{NodeKind::kCommand, 0}, {field}});
  const auto pipe =
      std::make_shared<gotmpl::PipeNode>(gotmpl::PipeNode{{NodeKind::kPipe, 0}, false, {}, {command}});
  root->nodes.push_back(
      std::make_shared<gotmpl::ActionNode>(gotmpl::ActionNode{{NodeKind::kAction, 0}, pipe}));
  out[""] = std::move(root);
  return out;
}

}  // namespace

GoTemplate::GoTemplate(gotmpl::Program program)
    : whole_(std::move(program)),
      // What a template defines is not there any more in its cut form.
      until_response_(whole_.with_definitions({{"", gotmpl::until_response(*whole_.root())}})),
      identifiers_(gotmpl::identifiers(whole_.definitions())),
      thinking_tags_(gotmpl::thinking_tags(*whole_.root())),
      tool_tag_(gotmpl::tool_tag(*whole_.root())) {}

Result<GoTemplate> GoTemplate::parse(std::string_view source, const gotmpl::Limits& limits) {
  QUIPU_ASSIGN(gotmpl::Program program, gotmpl::Program::parse(source, limits));
  if (gotmpl::has_bare_call(program.definitions()))
    return error(Code::kCorrupt, "undefined template specified");
  const std::vector<std::string> names = gotmpl::identifiers(program.definitions());
  if (!contains(names, "messages") && !contains(names, "response"))
    program = program.with_definitions(with_response(program.definitions()));
  return GoTemplate(std::move(program));
}

bool GoTemplate::uses(std::string_view identifier) const { return contains(identifiers_, identifier); }

Result<void> GoTemplate::execute(const gotmpl::Value& data, int64_t now_unix, std::string& out,
                                 gotmpl::Budget& budget, Part part) const {
  return (part == Part::kWhole ? whole_ : until_response_).execute(data, now_unix, out, budget);
}

}  // namespace quipu

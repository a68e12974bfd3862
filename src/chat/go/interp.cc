// Text, actions and branches.
#include "chat/go/interp.h"

#include <algorithm>
#include <utility>

#include "chat/go/escape.h"
#include "chat/go/print.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

void Interp::run(const ListNode& root, const Value& data) {
  variables_ = {{"$", data}};
  walk(data, root);
}

void Interp::error_at(const std::string& message) const {
  const std::string_view before = source_.substr(0, node_->pos);
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t newline = before.rfind('\n');
  const size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  fail("template: :{}:{}: executing {} at <{}>: {}", line, column, quote(name_), source_of(*node_), message);
}

Interp::Flow Interp::walk(const Value& dot, const ListNode& list) {
  for (const NodePtr& node : list.nodes)
    if (const Flow flow = walk_node(dot, *node); flow != Flow::kOn) return flow;
  return Flow::kOn;
}

Interp::Flow Interp::walk_node(const Value& dot, const Node& node) {
  budget_.step();
  budget_.check_stack();
  switch (node.kind) {
    case NodeKind::kText: {
      const std::string& text = as<TextNode>(node).text;
      budget_.grow(out_.size(), text.size());
      out_ += text;
      return Flow::kOn;
    }
    case NodeKind::kAction: {
      const PipeNode& pipe = *as<ActionNode>(node).pipe;
      const Value value = pipeline(dot, pipe);
      if (pipe.variables.empty()) print(value);
      return Flow::kOn;
    }
    case NodeKind::kBranch: {
      const auto& branch = as<BranchNode>(node);
      const size_t mark = variables_.size();
      const Flow flow =
          branch.branch == BranchKind::kRange ? walk_range(dot, branch) : walk_condition(dot, branch);
      variables_.resize(mark);
      return flow;
    }
    case NodeKind::kTemplate:
      walk_template(dot, as<TemplateNode>(node));
      return Flow::kOn;
    case NodeKind::kBreak:
      return Flow::kBreak;
    case NodeKind::kContinue:
      return Flow::kContinue;
    default:
      return Flow::kOn;  // no other nodes stand in lists
  }
}

void Interp::print(const Value& value) { Printer(out_, budget_).value(printable(value)); }

Interp::Flow Interp::walk_condition(const Value& dot, const BranchNode& branch) {
  for (const BranchNode::Arm& arm : branch.arms) {
    const Value value = pipeline(dot, *arm.pipe);
    if (is_true(value)) return walk(branch.branch == BranchKind::kWith ? value : dot, *arm.list);
  }
  return branch.otherwise ? walk(dot, *branch.otherwise) : Flow::kOn;
}

// False: the loop ends here.
bool Interp::iterate(const PipeNode& pipe, const ListNode& body, const Value& key, const Value& element) {
  budget_.step();
  const bool both = pipe.variables.size() > 1;
  const size_t mark = variables_.size();
  if (pipe.assigns) {
    if (both) variable(pipe.variables[0]).value = key;
    variable(pipe.variables.back()).value = element;
  } else if (!pipe.variables.empty()) {
    variables_[mark - 1].value = element;
    if (both) variables_[mark - 2].value = key;
  }
  const Flow flow = walk(element, body);
  variables_.resize(mark);
  return flow != Flow::kBreak;
}

Interp::Flow Interp::walk_range(const Value& dot, const BranchNode& branch) {
  const PipeNode& pipe = *branch.arms[0].pipe;
  const ListNode& body = *branch.arms[0].list;
  const Value over = indirect(pipeline(dot, pipe)).value;
  const auto shown = [&] {
    std::string text;
    Printer(text, budget_).value(over);
    return text;
  };
  bool ran = false;
  switch (over.kind()) {
    case Kind::kInvalid:
      break;
    case Kind::kInt:
    case Kind::kUint:
      if (pipe.variables.size() > 1) error("can't use {} to iterate over more than one variable", shown());
      for (int64_t i = 0; i < over.as_int(); ++i) {
        ran = true;
        const Value element = over.is(Kind::kInt) ? Value::integer(i) : Value::byte(static_cast<uint8_t>(i));
        if (!iterate(pipe, body, {}, element)) break;
      }
      break;
    case Kind::kSlice:
      for (size_t i = 0; i < over.size(); ++i) {
        ran = true;
        if (!iterate(pipe, body, Value::integer(static_cast<int64_t>(i)), over.element(i))) break;
      }
      break;
    case Kind::kMap:
      for (const auto& [key, element] : over.entries()) {
        ran = true;
        if (!iterate(pipe, body, Value::string(key), element)) break;
      }
      break;
    default:
      error("range can't iterate over {}", shown());
  }
  return ran || !branch.otherwise ? Flow::kOn : walk(dot, *branch.otherwise);
}

void Interp::walk_template(const Value& dot, const TemplateNode& call) {
  at(call);
  const auto it = definitions_.find(call.name);
  if (it == definitions_.end()) error("template {} not defined", quote(call.name));
  const Value argument = call.pipe ? pipeline(dot, *call.pipe) : Value();
  const size_t mark = variables_.size();
  const std::string_view name = std::exchange(name_, it->first);
  const size_t first = std::exchange(first_variable_, mark);
  variables_.push_back({"$", argument});
  walk(argument, *it->second);
  variables_.resize(mark);
  name_ = name;
  first_variable_ = first;
}

// The last one of that name.
Interp::Variable& Interp::variable(std::string_view name) {
  constexpr size_t kPerStep = 16;  // names compared
  for (size_t i = variables_.size(); i-- > first_variable_;) {
    if (variables_[i].name != name) continue;
    budget_.step((variables_.size() - i) / kPerStep);
    return variables_[i];
  }
  error("undefined variable: {}", name);
}

}  // namespace quipu::gotmpl

#include "chat/go/inspect.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

// --- identifiers ---

class Names {
 public:
  void list(const ListNode& list) {
    for (const NodePtr& node : list.nodes) {
      switch (node->kind) {
        case NodeKind::kAction:
          pipe(*as<ActionNode>(*node).pipe);
          break;
        case NodeKind::kTemplate:
          if (const PipePtr& argument = as<TemplateNode>(*node).pipe)
            pipe(*argument);
          else
            bare_call = true;
          break;
        case NodeKind::kBranch: {
          const auto& branch = as<BranchNode>(*node);
          for (const auto& arm : branch.arms) {
            pipe(*arm.pipe);
            this->list(*arm.list);
          }
          if (branch.otherwise) this->list(*branch.otherwise);
          break;
        }
        default:
          break;
      }
    }
  }

  std::set<std::string> found;
  bool bare_call = false;

 private:
  void pipe(const PipeNode& pipe) {
    for (const auto& command : pipe.commands) {
      for (const NodePtr& arg : command->args) {
        if (arg->kind == NodeKind::kPipe)
          this->pipe(as<PipeNode>(*arg));
        else if (arg->kind == NodeKind::kField)
          add(as<FieldNode>(*arg).names);
        else if (arg->kind == NodeKind::kVariable)
          add(as<VariableNode>(*arg).names);
      }
    }
  }
  void add(const std::vector<std::string>& names) {
    for (const std::string& name : names) found.insert(to_lower(name));
  }
};

Names names_of(const Definitions& definitions) {
  Names names;
  for (const auto& [name, root] : definitions) names.list(*root);
  return names;
}

// --- thinking tags ---

bool mentions(const PipeNode& pipe, std::string_view field) {
  for (const auto& command : pipe.commands)
    for (const NodePtr& arg : command->args)
      if (arg->kind == NodeKind::kField ? as<FieldNode>(*arg).names[0] == field
                                        : arg->kind == NodeKind::kPipe && mentions(as<PipeNode>(*arg), field))
        return true;
  return false;
}

class ThinkingFinder {
 public:
  // `in_messages`: the innermost range goes over the messages.
  void list(const ListNode& list, bool in_messages) {
    for (const NodePtr& node : list.nodes) {
      if (node->kind == NodeKind::kAction) {
        pipe(*as<ActionNode>(*node).pipe, &list, in_messages);
      } else if (node->kind == NodeKind::kTemplate) {
        if (const PipePtr& argument = as<TemplateNode>(*node).pipe) pipe(*argument, &list, in_messages);
      } else if (node->kind == NodeKind::kBranch) {
        branch(as<BranchNode>(*node), list, in_messages);
      }
    }
  }

  ThinkingTags tags;

 private:
  void branch(const BranchNode& branch, const ListNode& around, bool in_messages) {
    if (branch.branch == BranchKind::kRange) in_messages = mentions(*branch.arms[0].pipe, "Messages");
    for (size_t i = 0; i < branch.arms.size(); ++i) {
      // The condition of an {{else if}} stands alone in its {{else}}: there is no text around it.
      pipe(*branch.arms[i].pipe, i == 0 ? &around : nullptr, in_messages);
      list(*branch.arms[i].list, in_messages);
    }
    if (branch.otherwise) list(*branch.otherwise, in_messages);
  }

  void pipe(const PipeNode& pipe, const ListNode* around, bool in_messages) {
    if (!in_messages || around == nullptr || !mentions(pipe, "Thinking")) return;
    const Node &first = *around->nodes.front(), &last = *around->nodes.back();
    if (first.kind == NodeKind::kText) tags.open = trim(as<TextNode>(first).text);
    if (last.kind == NodeKind::kText) tags.close = trim(as<TextNode>(last).text);
  }
};

// --- the tag of tool calls ---

bool asks_for_tool_calls(const PipeNode& pipe) {
  for (const auto& command : pipe.commands)
    for (const NodePtr& arg : command->args)
      if (arg->kind == NodeKind::kField) {
        const auto& names = as<FieldNode>(*arg).names;
        if (std::find(names.begin(), names.end(), "ToolCalls") != names.end()) return true;
      }
  return false;
}

// What {{if .ToolCalls}} holds.
const ListNode* tool_call_list(const ListNode& list) {
  for (const NodePtr& node : list.nodes) {
    if (node->kind != NodeKind::kBranch) continue;
    const auto& branch = as<BranchNode>(*node);
    for (const auto& arm : branch.arms) {
      if (branch.branch == BranchKind::kIf && asks_for_tool_calls(*arm.pipe)) return arm.list.get();
      if (const ListNode* found = tool_call_list(*arm.list)) return found;
    }
    if (branch.otherwise)
      if (const ListNode* found = tool_call_list(*branch.otherwise)) return found;
  }
  return nullptr;
}

// The first text that is more than space, if no action comes before it.
const TextNode* first_text(const ListNode& list) {
  for (const NodePtr& node : list.nodes) {
    switch (node->kind) {
      case NodeKind::kText:
        if (!trim(as<TextNode>(*node).text).empty()) return &as<TextNode>(*node);
        break;
      case NodeKind::kAction:
        return nullptr;
      case NodeKind::kBranch: {
        const auto& branch = as<BranchNode>(*node);
        for (const auto& arm : branch.arms)
          if (const TextNode* text = first_text(*arm.list)) return text;
        return branch.otherwise ? first_text(*branch.otherwise) : nullptr;
      }
      default:
        break;
    }
  }
  return nullptr;
}

// --- the cut behind .Response ---

class Cutter {
 public:
  ListPtr list(const ListNode& list) {
    auto kept = std::make_shared<ListNode>(ListNode{{NodeKind::kList, list.pos}, {}});
    for (const NodePtr& node : list.nodes) {
      if (done_) break;
      NodePtr part = node;
      if (node->kind == NodeKind::kAction)
        part = action(node);
      else if (node->kind == NodeKind::kBranch)
        part = branch(node);
      if (part) kept->nodes.push_back(std::move(part));
    }
    return kept;
  }

 private:
  // Null: nothing of it is left.
  NodePtr action(const NodePtr& node) {
    const PipePtr kept = pipe(as<ActionNode>(*node).pipe);
    if (!done_) return node;
    return kept ? std::make_shared<ActionNode>(ActionNode{{NodeKind::kAction, node->pos}, kept}) : nullptr;
  }

  // Arguments behind .Response go; a command that is left with none takes its whole pipeline with it.
  PipePtr pipe(const PipePtr& whole) {
    auto kept = std::make_shared<PipeNode>(*whole);
    kept->commands.clear();
    for (const auto& command : whole->commands) {
      std::vector<NodePtr> args;
      for (const NodePtr& arg : command->args) {
        if (done_) break;
        if (arg->kind == NodeKind::kPipe) {
          const auto part = pipe(std::static_pointer_cast<const PipeNode>(arg));
          if (part) args.push_back(part);
          continue;
        }
        if (arg->kind == NodeKind::kField) {
          const auto& names = as<FieldNode>(*arg).names;
          done_ = std::find(names.begin(), names.end(), "Response") != names.end();
        }
        args.push_back(arg);
      }
      if (args.empty()) return nullptr;
      kept->commands.push_back(
          std::make_shared<CommandNode>(CommandNode{{NodeKind::kCommand, command->pos}, std::move(args)}));
    }
    return kept;
  }

  NodePtr branch(const NodePtr& node) {
    auto kept = std::make_shared<BranchNode>(as<BranchNode>(*node));
    size_t n = 0;
    while (n < kept->arms.size() && !done_) {
      auto& arm = kept->arms[n++];
      arm.list = list(*arm.list);
    }
    kept->arms.resize(n);
    if (kept->otherwise) kept->otherwise = done_ ? nullptr : list(*kept->otherwise);
    return kept;
  }

  bool done_ = false;
};

}  // namespace

std::vector<std::string> identifiers(const Definitions& definitions) {
  const Names names = names_of(definitions);
  return {names.found.begin(), names.found.end()};
}

bool has_bare_call(const Definitions& definitions) { return names_of(definitions).bare_call; }

ThinkingTags thinking_tags(const ListNode& root) {
  ThinkingFinder finder;
  finder.list(root, false);
  return finder.tags;
}

std::string tool_tag(const ListNode& root) {
  const ListNode* list = tool_call_list(root);
  const TextNode* text = list != nullptr ? first_text(*list) : nullptr;
  if (text == nullptr) return "{";
  const std::string_view tag = trim(std::string_view(text->text).substr(0, text->text.find('{')));
  std::string out;
  for (size_t i = 0; i < tag.size(); ++i)
    if (!tag.substr(i).starts_with("\r\n")) out += tag[i];
  return out.empty() ? "{" : out;
}

ListPtr until_response(const ListNode& root) { return Cutter().list(root); }

}  // namespace quipu::gotmpl

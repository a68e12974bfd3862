// What can be read from the trees of a chat template without running it.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "chat/go/ast.h"
#include "chat/go/parser.h"

namespace quipu::gotmpl {

// The names of all fields and variables, lower-cased, sorted, each once. Those in a field access behind
// parentheses, `(index .A 0).B`, are not among them.
std::vector<std::string> identifiers(const Definitions& definitions);

// A call of a template that hands no data on: chat templates may not have any.
bool has_bare_call(const Definitions& definitions);

struct ThinkingTags {
  std::string open, close;  // empty where there is none
};
// What stands around .Thinking in a range over the messages.
ThinkingTags thinking_tags(const ListNode& root);

// What begins the first text within {{if .ToolCalls}}, up to a brace; "{" where there is none.
std::string tool_tag(const ListNode& root);

// The template up to the first action that prints .Response, and nothing behind that action.
ListPtr until_response(const ListNode& root);

}  // namespace quipu::gotmpl

// A chat template in the language of Go's text/template, as Ollama's models carry them: parsed once, with
// what can be read from it, and run for each conversation (chat/go_chat.h).
//
// Threads: immutable once parsed; execute() may run from several threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/go/inspect.h"
#include "chat/go/limits.h"
#include "chat/go/program.h"
#include "chat/go/value.h"

namespace quipu {

class GoTemplate {
 public:
  // Errors are kCorrupt, with Go's message. A template that uses neither .Messages nor .Response gets
  // {{ .Response }} at its end.
  static Result<GoTemplate> parse(std::string_view source, const gotmpl::Limits& limits = {});

  // Names of fields and variables ("messages", "$last"), lower-cased and sorted.
  const std::vector<std::string>& identifiers() const { return identifiers_; }
  bool uses(std::string_view identifier) const;  // lower-cased

  // Thinking can be told apart only where both tags are there.
  const gotmpl::ThinkingTags& thinking_tags() const { return thinking_tags_; }
  bool has_thinking_tags() const { return !thinking_tags_.open.empty() && !thinking_tags_.close.empty(); }
  // What a tool call begins with in the model's text; "{" where the template shows none.
  const std::string& tool_tag() const { return tool_tag_; }

  enum class Part {
    kWhole,
    kUntilResponse,  // up to the first action that prints .Response
  };
  // Adds to `out`. `budget`: for all executions that make one prompt.
  Result<void> execute(const gotmpl::Value& data, int64_t now_unix, std::string& out, gotmpl::Budget& budget,
                       Part part = Part::kWhole) const;
  const gotmpl::Limits& limits() const { return whole_.limits(); }

 private:
  explicit GoTemplate(gotmpl::Program program);

  gotmpl::Program whole_, until_response_;
  std::vector<std::string> identifiers_;
  gotmpl::ThinkingTags thinking_tags_;
  std::string tool_tag_;
};

}  // namespace quipu

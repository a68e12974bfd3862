// Parsed chat templates by their text. Models that differ by nothing but their template share a runner, and
// send it with every request.
//
// Threads: any.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

#include "base/result.h"
#include "chat/chat_template.h"
#include "chat/go_template.h"
#include "tokenizer/tokenizer.h"

namespace quipu::runner {

enum class TemplateKind { kJinja, kGo };

struct TemplateText {
  TemplateKind kind = TemplateKind::kJinja;
  std::string text;  // empty, for Jinja: ChatML
  bool operator==(const TemplateText&) const = default;
};

// Immutable, and may be used from several threads at a time.
using ParsedTemplate = std::variant<ChatTemplate, GoTemplate>;

class TemplateCache {
 public:
  // Templates see the texts of BOS and EOS, empty where there is none. The tokenizer may be null.
  explicit TemplateCache(const Tokenizer* tokenizer);

  Result<std::shared_ptr<const ParsedTemplate>> get(const TemplateText& source);

 private:
  struct Entry {
    TemplateText source;
    std::shared_ptr<const ParsedTemplate> parsed;
  };

  Result<std::shared_ptr<const ParsedTemplate>> parse(const TemplateText& source) const;

  std::string bos_, eos_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // the one that was used last in front
};

}  // namespace quipu::runner

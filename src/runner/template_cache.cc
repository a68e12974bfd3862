#include "runner/template_cache.h"

#include <algorithm>

namespace quipu::runner {

namespace {

constexpr size_t kEntries = 16;
// Longer ones are parsed each time: real templates have 20 KB at most, and what is parsed takes many times
// the memory of its text.
constexpr size_t kLongestKept = 64u << 10;

}  // namespace

TemplateCache::TemplateCache(const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) return;
  const SpecialTokens& special = tokenizer->special();
  if (special.bos) bos_ = tokenizer->text(*special.bos);
  if (special.eos) eos_ = tokenizer->text(*special.eos);
}

Result<std::shared_ptr<const ParsedTemplate>> TemplateCache::get(const TemplateText& source) {
  {
    const std::lock_guard lock(mutex_);
    const auto at =
        std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.source == source; });
    if (at != entries_.end()) {
      entries_.splice(entries_.begin(), entries_, at);
      return at->parsed;
    }
  }
  QUIPU_ASSIGN(std::shared_ptr<const ParsedTemplate> parsed, parse(source));
  if (source.text.size() > kLongestKept) return parsed;
  const std::lock_guard lock(mutex_);
  entries_.push_front({source, parsed});  // perhaps a second time: it goes in time
  if (entries_.size() > kEntries) entries_.pop_back();
  return parsed;
}

Result<std::shared_ptr<const ParsedTemplate>> TemplateCache::parse(const TemplateText& source) const {
  if (source.kind == TemplateKind::kGo) {
    QUIPU_ASSIGN(GoTemplate go, GoTemplate::parse(source.text));
    return std::make_shared<const ParsedTemplate>(std::move(go));
  }
  QUIPU_ASSIGN(ChatTemplate jinja, ChatTemplate::create(source.text, bos_, eos_));
  return std::make_shared<const ParsedTemplate>(std::move(jinja));
}

}  // namespace quipu::runner

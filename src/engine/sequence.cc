#include "engine/sequence.h"

#include <algorithm>
#include <limits>

namespace quipu {

const char* stop_reason_name(StopReason r) {
  switch (r) {
    case StopReason::kEos:
      return "eos";
    case StopReason::kStop:
      return "stop";
    case StopReason::kLength:
      return "length";
    case StopReason::kContext:
      return "context";
    case StopReason::kRepetition:
      return "repetition";
    case StopReason::kTime:
      return "time";
    case StopReason::kMemory:
      return "memory";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

const char* done_reason(StopReason r) {
  switch (r) {
    case StopReason::kEos:
    case StopReason::kStop:
    case StopReason::kRepetition:
      return "stop";
    default:
      return "length";
  }
}

namespace {

int64_t nanoseconds(Clock::duration d) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
}

}  // namespace

Sequence::Sequence(uint64_t id, GenerateRequest request, int64_t n_ctx, std::unique_ptr<Sampler> sampler,
                   const Tokenizer* tok, CachedTokens cache)
    : id_(id),
      request_(std::move(request)),
      n_ctx_(n_ctx),
      sampler_(std::move(sampler)),
      tokenizer_(tok),
      cache_(std::move(cache)),
      stops_(request_.options.stop),
      start_(Clock::now()),
      prefill_end_(start_) {
  for (Token t : request_.prompt) sampler_->accept(t);
  cache_.tokens = request_.prompt;
  stats_.prompt_tokens = static_cast<int64_t>(request_.prompt.size());
  stats_.cached_tokens = cache_.n_stored;
  // A limit of its own, or ten contexts: nothing runs for ever.
  const int64_t most = n_ctx_ * 10;
  limit_ = most;
  if (const auto& n = request_.options.num_predict; n && *n > 0) limit_ = std::min(*n, most);
}

void Sequence::note_prefill_done() {
  if (prefilled_) return;
  prefilled_ = true;
  prefill_end_ = Clock::now();
}

void Sequence::emit(const std::string& text) {
  if (!text.empty() && request_.on_text) request_.on_text(text);
}

std::optional<StopReason> Sequence::accept(Token token) {
  ++stats_.generated_tokens;
  sampler_->accept(token);
  cache_.tokens.push_back(token);
  if (tokenizer_ != nullptr && tokenizer_->is_end_of_generation(token)) return StopReason::kEos;
  std::optional<std::string> text;  // nothing while a character is not complete
  if (tokenizer_ != nullptr) {
    const std::string piece = tokenizer_->piece(token, false);
    text = utf8_.push(piece);
    emit(stops_.push(*text));
    if (text->empty() && !piece.empty()) text.reset();
  }
  if (stops_.matched()) return StopReason::kStop;
  if (request_.options.repeat_guard && guard_.push(token, text)) return StopReason::kRepetition;
  if (stats_.generated_tokens >= limit_) return StopReason::kLength;
  return std::nullopt;
}

std::optional<StopReason> Sequence::before_step() {
  if (request_.options.max_seconds > 0 &&
      std::chrono::duration<double>(Clock::now() - start_).count() >= request_.options.max_seconds)
    return StopReason::kTime;
  if (static_cast<int64_t>(cache_.tokens.size()) > n_ctx_) {
    const bool may_shift = request_.options.num_predict.has_value() && request_.options.shift;
    if (!may_shift || !shift_context()) return StopReason::kContext;
  }
  return std::nullopt;
}

// Keeps the first num_keep tokens and the newer half of the rest. What moved is recomputed at its new
// positions, so the result is what a fresh request with that text would give.
bool Sequence::shift_context() {
  const auto n = static_cast<int64_t>(cache_.tokens.size());
  int64_t keep = request_.options.num_keep < 0 ? stats_.prompt_tokens : request_.options.num_keep;
  keep = std::clamp<int64_t>(keep, 0, std::max<int64_t>(n_ctx_ - 4, 0));
  const int64_t discard = (n - keep) / 2;
  if (discard <= 0) return false;
  cache_.tokens.erase(cache_.tokens.begin() + keep, cache_.tokens.begin() + keep + discard);
  cache_.n_stored = std::min(cache_.n_stored, keep);
  cache_.table.truncate(cache_.n_stored);
  ++stats_.context_shifts;
  return true;
}

void Sequence::finish(StopReason reason) {
  note_prefill_done();
  if (reason != StopReason::kStop) {
    emit(stops_.push(utf8_.finish()));
    emit(stops_.finish());
  }
  const auto now = Clock::now();
  stats_.reason = reason;
  stats_.kv_bytes = kv_bytes;
  stats_.prompt_ns = nanoseconds(prefill_end_ - start_);
  stats_.generate_ns = nanoseconds(now - prefill_end_);
  stats_.total_ns = nanoseconds(now - start_);
  if (request_.on_done) request_.on_done(stats_);
}

void Sequence::fail(Error e) {
  if (request_.on_done) request_.on_done(std::unexpected(std::move(e)));
}

}  // namespace quipu

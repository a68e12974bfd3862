#include "engine/sequence.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"

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

Clock::time_point deadline(Clock::time_point start, double seconds) {
  constexpr double kYear = 365 * 86400.0;  // longer is for ever, and would overflow the clock
  if (!(seconds > 0 && seconds < kYear)) return Clock::time_point::max();
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

Sequence::Sequence(uint64_t id, GenerateRequest request, int64_t n_ctx, std::unique_ptr<Sampler> sampler,
                   const Tokenizer* tok, kv::BlockPool& pool)
    : id_(id),
      request_(std::move(request)),
      n_ctx_(n_ctx),
      sampler_(std::move(sampler)),
      tokenizer_(tok),
      cache_(pool),
      stops_(request_.options.stop),
      // A limit of its own, or ten contexts: nothing runs for ever.
      limit_(checked_mul<int64_t>(n_ctx, 10).value_or(std::numeric_limits<int64_t>::max())),
      submitted_(Clock::now()),
      deadline_(deadline(submitted_, request_.options.max_seconds)) {
  sampler_->accept(request_.prompt);
  cache_.tokens = std::move(request_.prompt);
  stats_.prompt_tokens = n_tokens();
  // 0 stands for "not given", as in Ollama.
  const int64_t asked = request_.options.num_predict.value_or(0);
  if (asked > 0) limit_ = std::min(asked, limit_);
  may_shift_ = asked != 0 && request_.options.shift;
}

void Sequence::start(kv::BlockTable table, int64_t n_stored) {
  cache_.table = std::move(table);
  cache_.n_stored = n_stored;
  if (started_) return;
  started_ = Clock::now();
  stats_.cached_tokens = n_stored;
}

void Sequence::pause() {
  cache_.table.truncate(0);
  cache_.n_stored = 0;
}

void Sequence::emit(const std::string& text) {
  if (!text.empty() && request_.on_text) request_.on_text(text);
}

std::optional<StopReason> Sequence::accept(Token token) {
  if (!prefilled_) prefilled_ = Clock::now();
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

bool Sequence::make_context() { return n_tokens() <= n_ctx_ || (may_shift_ && shift_context()); }

// Keeps the first num_keep tokens (and BOS) and the newer half of the rest. What moved is recomputed at its
// new positions, so the result is what a fresh request with that text would give.
bool Sequence::shift_context() {
  const bool adds_bos = tokenizer_ != nullptr && tokenizer_->special().add_bos;
  const int64_t most = std::max<int64_t>(n_ctx_ - 4, 0);
  const int64_t asked = request_.options.num_keep;
  const int64_t keep = asked < 0 ? std::min(stats_.prompt_tokens, most)
                                 : std::min(std::min(asked, most) + (adds_bos ? 1 : 0), most);
  const int64_t discard = (n_ctx_ - keep) / 2;
  if (discard <= 0) return false;
  cache_.tokens.erase(cache_.tokens.begin() + keep, cache_.tokens.begin() + keep + discard);
  cache_.n_stored = std::min(cache_.n_stored, keep);
  cache_.table.truncate(cache_.n_stored);
  ++stats_.context_shifts;
  return true;
}

void Sequence::finish(StopReason reason, uint64_t kv_bytes) {
  if (reason != StopReason::kStop) {
    emit(stops_.push(utf8_.finish()));
    emit(stops_.finish());
  }
  const auto now = Clock::now();
  const auto started = started_.value_or(now), prefilled = prefilled_.value_or(now);
  stats_.reason = reason;
  stats_.kv_bytes = kv_bytes;
  stats_.prompt_ns = nanoseconds(prefilled - started);
  stats_.generate_ns = nanoseconds(now - prefilled);
  stats_.total_ns = nanoseconds(now - submitted_);
  if (request_.on_done) request_.on_done(stats_);
}

void Sequence::fail(Error e) {
  if (request_.on_done) request_.on_done(std::unexpected(std::move(e)));
}

}  // namespace quipu

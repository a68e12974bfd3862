#include "engine/generation.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"

namespace quipu {

namespace {

int64_t nanoseconds(Clock::duration d) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
}

}  // namespace

Generation::Generation(uint64_t id, GenerateRequest request, int64_t n_ctx, std::unique_ptr<Sampler> sampler,
                       const Tokenizer* tokenizer, std::span<const Token> suppressed)
    : Sequence(id, std::move(request.prompt), request.options),
      request_(std::move(request)),
      n_ctx_(n_ctx),
      sampler_(std::move(sampler)),
      tokenizer_(tokenizer),
      suppressed_(suppressed),
      stops_(request_.options.stop),
      // A limit of its own, or ten contexts: nothing runs for ever.
      limit_(checked_mul<int64_t>(n_ctx, 10).value_or(std::numeric_limits<int64_t>::max())) {
  const std::vector<int64_t>& b = request_.boundaries;
  if (!b.empty()) cache_.points.push_back(b.front());
  for (size_t i = b.size() > 2 ? b.size() - 2 : 1; i < b.size(); ++i) cache_.points.push_back(b[i]);
  cache_.points.push_back(n_tokens());
  sampler_->accept(cache_.tokens);
  stats_.prompt_tokens = n_tokens();
  // 0 stands for "not given", as in Ollama.
  const int64_t asked = request_.options.num_predict.value_or(0);
  if (asked > 0) limit_ = std::min(asked, limit_);
  may_shift_ = asked != 0 && request_.options.shift;
}

void Generation::start() {
  const bool first = !started_;
  Sequence::start();
  if (first && request_.on_start) request_.on_start();
}

std::optional<StopReason> Generation::computed(std::span<float> logits, std::span<Candidate> memory) {
  return accept(choose(logits, memory));
}

Token Generation::choose(std::span<float> logits, std::span<Candidate> memory) {
  using namespace sampling;
  const std::optional<int> n_top = request_.options.top_logprobs;
  std::optional<LogSoftmax> softmax;
  std::vector<TokenLogprob> top;
  if (n_top) {
    softmax.emplace(logits);
    top = most_probable(logits, *softmax, *n_top, memory);
  }
  for (const Token t : suppressed_) logits[static_cast<size_t>(t)] = -std::numeric_limits<float>::infinity();
  const Token token = sampler_->sample(logits, memory);
  if (softmax && !(tokenizer_ != nullptr && tokenizer_->is_end_of_generation(token)))
    unshown_.push_back({decoded_, {{token, (*softmax)(logits[static_cast<size_t>(token)])}, std::move(top)}});
  return token;
}

std::optional<StopReason> Generation::accept(Token token) {
  if (!prefilled_) {
    prefilled_ = Clock::now();
    stats_.cached_tokens = n_found_;
  }
  ++stats_.generated_tokens;
  sampler_->accept(token);
  cache_.tokens.push_back(token);
  if (tokenizer_ != nullptr && tokenizer_->is_end_of_generation(token)) return StopReason::kEos;
  std::optional<std::string> text;  // nothing while a character is not complete
  if (tokenizer_ != nullptr) {
    const std::string piece = tokenizer_->piece(token, false);
    text = utf8_.push(piece);
    decoded_ += text->size();
    emit(stops_.push(*text));
    if (text->empty() && !piece.empty()) text.reset();
  }
  if (stops_.matched()) return StopReason::kStop;
  if (request_.options.repeat_guard && guard_.push(token, text)) return StopReason::kRepetition;
  if (stats_.generated_tokens >= limit_) return StopReason::kLength;
  return std::nullopt;
}

// The text, and the logprobs of the tokens that begin in it; at the end of the answer of all that are left.
void Generation::emit(const std::string& text, bool all) {
  shown_ += text.size();
  std::vector<Logprobs> logprobs;
  for (; !unshown_.empty() && (all || unshown_.front().begin < shown_); unshown_.pop_front())
    logprobs.push_back(std::move(unshown_.front().logprobs));
  if ((!text.empty() || !logprobs.empty()) && request_.on_piece) request_.on_piece({text, logprobs});
}

// Keeps the first num_keep tokens (and BOS) and the newer half of the rest. What moved is recomputed at its
// new positions, so the result is what a fresh request with that text would give.
bool Generation::shift_context() {
  const bool adds_bos = tokenizer_ != nullptr && tokenizer_->special().add_bos;
  const int64_t most = std::max<int64_t>(n_ctx_ - 4, 0);
  const int64_t asked = request_.options.num_keep;
  const int64_t keep = asked < 0 ? std::min(stats_.prompt_tokens, most)
                                 : std::min(std::min(asked, most) + (adds_bos ? 1 : 0), most);
  const int64_t discard = (n_ctx_ - keep) / 2;
  if (discard <= 0) return false;
  cache_.tokens.erase(cache_.tokens.begin() + keep, cache_.tokens.begin() + keep + discard);
  cache_.keep_first(keep);
  ++stats_.context_shifts;
  return true;
}

void Generation::finish(StopReason reason, uint64_t kv_bytes) {
  if (reason != StopReason::kStop) {  // after a stop string nothing is left that may be shown
    std::string rest = stops_.push(utf8_.finish());
    emit(rest += stops_.finish(), true);
  }
  const auto now = Clock::now();
  const auto started = started_.value_or(now), prefilled = prefilled_.value_or(now);
  stats_.reason = reason;
  if (!prefilled_) stats_.cached_tokens = n_found_;
  stats_.kv_bytes = kv_bytes;
  stats_.prompt_ns = nanoseconds(prefilled - started);
  stats_.generate_ns = nanoseconds(now - prefilled);
  stats_.total_ns = nanoseconds(now - submitted_);
  if (request_.on_done) request_.on_done(stats_);
}

void Generation::fail(Error e) {
  if (request_.on_done) request_.on_done(std::unexpected(std::move(e)));
}

}  // namespace quipu

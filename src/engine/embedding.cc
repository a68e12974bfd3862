#include "engine/embedding.h"

namespace quipu {

Embedding::Embedding(uint64_t id, EmbedRequest request, int64_t n_embd)
    : Sequence(id, std::move(request.tokens), request.limits),
      request_(std::move(request)),
      n_embd_(static_cast<size_t>(n_embd)) {}

std::optional<StopReason> Embedding::computed(std::span<float>, std::span<Candidate>) {
  mean_.resize(n_embd_);
  const auto n = static_cast<double>(n_tokens());
  for (size_t i = 0; i < n_embd_; ++i) mean_[i] = static_cast<float>(hidden_sum()[i] / n);
  return StopReason::kLength;
}

void Embedding::finish(StopReason reason, uint64_t) {
  if (!mean_.empty()) return request_.on_done(std::move(mean_));
  switch (reason) {
    case StopReason::kMemory:
      return fail({Code::kOutOfMemory,
                   fmt::format("there is no memory for the KV cache of {} tokens", n_tokens()),
                   {}});
    case StopReason::kTime:
      return fail({Code::kUnavailable, "the time for this request is over", {}});
    default:
      return fail({Code::kCancelled, "the request was cancelled", {}});
  }
}

void Embedding::fail(Error e) { request_.on_done(std::unexpected(std::move(e))); }

}  // namespace quipu

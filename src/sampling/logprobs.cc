#include "sampling/logprobs.h"

#include <algorithm>
#include <limits>

#include "kernels/det_math.h"
#include "sampling/softmax.h"

namespace quipu::sampling {

namespace {

constexpr float kMinusInf = -std::numeric_limits<float>::infinity();

}  // namespace

LogSoftmax::LogSoftmax(std::span<const float> logits) : max_(kMinusInf) {
  for (const float l : logits) max_ = std::max(max_, sane(l));
  if (max_ == kMinusInf) return;
  double sum = 0;
  for (const float l : logits) sum += exp_float(sane(l) - max_);
  log_sum_ = kernels::det::log(sum);
}

float LogSoftmax::operator()(float logit) const {
  const float l = sane(logit);
  if (l == kMinusInf) return kLeast;  // and so where there is no maximum
  return std::max(kLeast, static_cast<float>(static_cast<double>(l) - max_ - log_sum_));
}

std::vector<TokenLogprob> most_probable(std::span<const float> logits, const LogSoftmax& softmax, int n,
                                        std::span<Candidate> memory) {
  std::vector<TokenLogprob> out;
  if (n <= 0) return out;
  for (const Candidate& c : top_k(logits, {}, n, memory).items) out.push_back({c.id, softmax(c.logit)});
  return out;
}

}  // namespace quipu::sampling

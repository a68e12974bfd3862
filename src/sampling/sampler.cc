#include "sampling/sampler.h"

#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "sampling/softmax.h"

namespace quipu {

namespace {

using namespace sampling;

uint32_t random_seed() {
  uint32_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed))
    seed = static_cast<uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return seed;
}

class Chain final : public Sampler {
 public:
  Chain(const SamplingOptions& o, int64_t window, uint32_t seed)
      : options_(o), window_(window), seed_(seed), random_(seed) {}

  void accept(std::span<const int32_t> tokens) override {
    if (tokens.size() == 1)
      window_.push(tokens[0]);
    else
      window_.push(tokens);
  }

  int32_t sample(std::span<const float> logits, std::span<Candidate> memory) override {
    const Penalties penalties{options_.repeat_penalty, options_.presence_penalty, options_.frequency_penalty,
                              window_.counts()};
    const bool greedy = options_.temperature <= 0;
    // Of what follows only typical_p could drop the best token.
    if (greedy && options_.typical_p >= 1) return std::max(best_token(logits, penalties), 0);

    Candidates c = options_.top_k > 0 ? top_k(logits, penalties, options_.top_k, memory)
                                      : all_tokens(logits, penalties, memory);
    if (c.items.empty() || std::all_of(c.items.begin(), c.items.end(), [](const Candidate& i) {
          return i.logit == -std::numeric_limits<float>::infinity();
        }))
      return 0;
    if (options_.typical_p < 1) keep_typical(c, options_.typical_p);
    if (options_.top_p < 1) keep_top_p(c, options_.top_p);
    if (options_.min_p > 0) keep_min_p(c, options_.min_p);
    return greedy ? best(c) : draw(c);
  }

  uint32_t seed() const override { return seed_; }

 private:
  static int32_t best(const Candidates& c) {
    const Candidate* b = &c.items.front();
    for (const Candidate& i : c.items)
      if (i.logit > b->logit || (i.logit == b->logit && i.id < b->id)) b = &i;
    return b->id;
  }

  // The first candidate, in their order, at which the running sum reaches a uniform share of the whole.
  int32_t draw(const Candidates& c) {
    float most = c.items.front().logit;
    for (const Candidate& i : c.items) most = std::max(most, i.logit);
    // The difference divided, not the difference of quotients: those overflow when the temperature is next to
    // nothing.
    double sum = 0;
    for (Candidate& i : c.items) sum += i.logit = exp_float((i.logit - most) / options_.temperature);
    const double target = uniform() * sum;
    double running = 0;
    int32_t last = c.items.front().id;
    for (const Candidate& i : c.items) {
      if (!(i.logit > 0)) continue;
      last = i.id;
      if ((running += i.logit) >= target) break;
    }
    return last;
  }

  // In [0, 1): two outputs a draw, low bits first. Written out because libraries differ in theirs.
  double uniform() {
    const auto low = static_cast<double>(random_());
    const auto high = static_cast<double>(random_());
    return std::min((low + high * 0x1p32) * 0x1p-64, 0x1.fffffffffffffp-1);
  }

  SamplingOptions options_;
  TokenWindow window_;
  uint32_t seed_;
  std::mt19937 random_;
};

}  // namespace

Result<std::unique_ptr<Sampler>> Sampler::create(const SamplingOptions& o, int64_t n_ctx) {
  const std::pair<const char*, float> numbers[] = {{"temperature", o.temperature},
                                                   {"top_p", o.top_p},
                                                   {"min_p", o.min_p},
                                                   {"typical_p", o.typical_p},
                                                   {"repeat_penalty", o.repeat_penalty},
                                                   {"presence_penalty", o.presence_penalty},
                                                   {"frequency_penalty", o.frequency_penalty}};
  for (const auto& [name, value] : numbers)
    if (!std::isfinite(value))
      return std::unexpected(
          Error{Code::kInvalidArgument, fmt::format("{} must be a finite number", name), name});
  if (o.repeat_penalty < 0)
    return std::unexpected(Error{
        Code::kInvalidArgument,
        fmt::format("repeat_penalty must not be negative, it is {}", o.repeat_penalty), "repeat_penalty"});
  if (o.repeat_last_n < -1)
    return std::unexpected(Error{Code::kInvalidArgument,
                                 fmt::format("repeat_last_n must be at least -1, it is {}", o.repeat_last_n),
                                 "repeat_last_n"});
  // Without penalties there is nothing to look back for.
  const bool penalties = !Penalties{o.repeat_penalty, o.presence_penalty, o.frequency_penalty, {}}.off();
  const int64_t window = !penalties ? 0 : o.repeat_last_n < 0 ? n_ctx : o.repeat_last_n;
  const uint32_t seed = o.seed == -1 ? random_seed() : static_cast<uint32_t>(o.seed);
  return std::make_unique<Chain>(o, window, seed);
}

}  // namespace quipu

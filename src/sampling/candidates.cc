#include "sampling/candidates.h"

#include <algorithm>
#include <cassert>
#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels/det_math.h"
#include "sampling/softmax.h"

namespace quipu::sampling {

namespace {

constexpr float kMinusInf = -std::numeric_limits<float>::infinity();

bool better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// Calls run(first, end) for the ids between penalised ones, and one(id, logit) for those, in rising order.
template <class Run, class One>
void walk(std::span<const float> logits, const Penalties& p, Run run, One one) {
  const auto n = static_cast<int32_t>(logits.size());
  int32_t next = 0;
  for (const auto& [id, count] : p.counts) {
    if (id < 0) continue;
    if (id >= n) break;
    run(next, id);
    one(id, p.apply(logits[static_cast<size_t>(id)], count));
    next = id + 1;
  }
  run(next, n);
}

// The best k of what it was given, in memory[0, 2k) or less.
class Collector {
 public:
  Collector(std::span<Candidate> memory, size_t k)
      : memory_(memory), k_(k), room_(std::min(2 * k, memory.size())) {}

  float floor() const { return floor_; }  // what is not above it is not among the best k

  void add(int32_t id, float logit) {
    if (n_ == room_) halve();
    memory_[n_++] = {id, std::min(logit, FLT_MAX)};
  }

  std::span<Candidate> finish() {
    if (n_ > k_) halve();
    std::sort(memory_.begin(), memory_.begin() + static_cast<std::ptrdiff_t>(n_), better);
    return memory_.first(n_);
  }

 private:
  void halve() {
    const auto at = memory_.begin();
    std::nth_element(at, at + static_cast<std::ptrdiff_t>(k_ - 1), at + static_cast<std::ptrdiff_t>(n_),
                     better);
    n_ = k_;
    floor_ = memory_[k_ - 1].logit;
  }

  std::span<Candidate> memory_;
  size_t k_, room_, n_ = 0;
  float floor_ = kMinusInf;
};

// How many candidates, in the order of `before`, it takes until enough(candidate) is true; all of them if it
// never is. They are brought in order only as far as that: a whole vocabulary is rarely sorted.
template <class Before, class Enough>
size_t shortest_prefix(std::span<Candidate> items, bool in_order, Before before, Enough enough) {
  size_t ready = in_order ? items.size() : 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i == ready) {
      ready = std::min(items.size(), std::max<size_t>(64, 8 * ready));
      const auto from = items.begin() + static_cast<std::ptrdiff_t>(i);
      const auto to = items.begin() + static_cast<std::ptrdiff_t>(ready);
      if (to != items.end()) std::nth_element(from, to, items.end(), before);
      std::sort(from, to, before);
    }
    if (enough(items[i])) return i + 1;
  }
  return items.size();
}

}  // namespace

float sane(float logit) { return logit == logit ? std::min(logit, FLT_MAX) : kMinusInf; }

SoftmaxSum softmax_sum(std::span<const Candidate> candidates) {
  SoftmaxSum s{kMinusInf, 0};
  for (const Candidate& c : candidates) s.max = std::max(s.max, c.logit);
  for (const Candidate& c : candidates) s.sum += s.weight(c.logit);
  return s;
}

int32_t best_token(std::span<const float> logits, const Penalties& penalties) {
  int32_t best = -1;
  float most = kMinusInf;
  const auto consider = [&](int32_t id, float logit) {
    if (std::min(logit, FLT_MAX) > most) best = id, most = std::min(logit, FLT_MAX);
  };
  walk(
      logits, penalties,
      [&](int32_t first, int32_t end) {
        for (int32_t i = first; i < end; ++i) consider(i, logits[static_cast<size_t>(i)]);
      },
      consider);
  return best;
}

Candidates top_k(std::span<const float> logits, const Penalties& penalties, int64_t k,
                 std::span<Candidate> memory) {
  assert(k >= 1 && memory.size() >= logits.size());
  Collector best(memory, static_cast<size_t>(std::min(k, static_cast<int64_t>(memory.size()))));
  const auto consider = [&](int32_t id, float logit) {
    if (logit > best.floor()) best.add(id, logit);  // never true for NaN
  };
  walk(
      logits, penalties,
      [&](int32_t first, int32_t end) {
        for (int32_t i = first; i < end; ++i) consider(i, logits[static_cast<size_t>(i)]);
      },
      consider);
  return {best.finish(), true};
}

Candidates all_tokens(std::span<const float> logits, const Penalties& penalties,
                      std::span<Candidate> memory) {
  assert(memory.size() >= logits.size());
  walk(
      logits, penalties,
      [&](int32_t first, int32_t end) {
        for (int32_t i = first; i < end; ++i) {
          const auto at = static_cast<size_t>(i);
          memory[at] = {i, sane(logits[at])};
        }
      },
      [&](int32_t id, float logit) { memory[static_cast<size_t>(id)] = {id, sane(logit)}; });
  return {memory.first(logits.size()), false};
}

void keep_typical(Candidates& c, float p) {
  const SoftmaxSum s = softmax_sum(c.items);
  const double log_sum = kernels::det::log(s.sum);
  // With x = logit - max and ln p = x - log_sum, the entropy is log_sum - sum of p * x.
  double mean = 0;
  for (const Candidate& i : c.items)
    if (const float w = s.weight(i.logit); w > 0) mean += w / s.sum * static_cast<double>(i.logit - s.max);
  const double entropy = log_sum - mean;
  // |-ln p - entropy| is the distance of the logit from one number.
  const double middle = static_cast<double>(s.max) + (log_sum - entropy);
  float total = 0;
  c.items = c.items.first(shortest_prefix(
      c.items, false,
      [middle](const Candidate& a, const Candidate& b) {
        const double x = std::fabs(middle - static_cast<double>(a.logit));
        const double y = std::fabs(middle - static_cast<double>(b.logit));
        return x != y ? x < y : a.id < b.id;
      },
      [&](const Candidate& i) { return (total += s.probability(i.logit)) > p; }));
  c.sorted = false;
}

void keep_top_p(Candidates& c, float p) {
  const SoftmaxSum s = softmax_sum(c.items);
  float total = 0;
  c.items = c.items.first(shortest_prefix(
      c.items, c.sorted, better, [&](const Candidate& i) { return (total += s.probability(i.logit)) >= p; }));
  c.sorted = true;
}

void keep_min_p(Candidates& c, float p) {
  const Candidate* best = &c.items.front();
  for (const Candidate& i : c.items)
    if (better(i, *best)) best = &i;
  const Candidate first = *best;
  // p > 1 asks for more than there is: the best stays.
  const float least =
      std::min(first.logit, first.logit + static_cast<float>(kernels::det::log(static_cast<double>(p))));
  const auto end =
      std::remove_if(c.items.begin(), c.items.end(), [&](const Candidate& i) { return i.logit < least; });
  c.items = c.items.first(static_cast<size_t>(end - c.items.begin()));
}

}  // namespace quipu::sampling

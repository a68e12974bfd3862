#include "kernels/machine_limits.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/machine_limits_impl.h"

namespace quipu::kernels {

namespace {

const LimitsTable& table() {
  switch (active_isa()) {
    case Isa::kAvx512:
      return avx512::kLimits;
    case Isa::kAvx2:
      return avx2::kLimits;
    case Isa::kScalar:
      break;
  }
  return scalar::kLimits;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The most that came out of several tries: whatever else the machine did can only have slowed some of them.
template <class Work>
double best_rate(double amount, int tries, Work work) {
  double best = 0;
  for (int i = 0; i < tries; ++i) {
    const double start = seconds_now();
    work();
    best = std::max(best, amount / std::max(seconds_now() - start, 1e-9));
  }
  return best;
}

constexpr int kParts = 64;  // of a loop, so that no thread waits long for another

double peak(ThreadPool& pool, void (*rounds)(int64_t), double ops_per_round) {
  // As many rounds as take about 20 ms a thread.
  int64_t n = 1024;
  const double rate = best_rate(static_cast<double>(n), 5, [&] { rounds(n); });
  n = std::max<int64_t>(1024, static_cast<int64_t>(rate * 0.02 * pool.active() / kParts));
  return 1e-9 * best_rate(static_cast<double>(n) * kParts * ops_per_round, 7,
                          [&] { pool.run(kParts, [&](int, int) { rounds(n); }); });
}

double read_speed(ThreadPool& pool, uint64_t (*read)(const std::byte*, size_t)) {
  constexpr size_t kBytes = size_t{256} << 20;
  void* p = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return 0;
  std::memset(p, 1, kBytes);
  std::atomic<uint64_t> sink{0};
  const double rate = best_rate(static_cast<double>(kBytes), 9, [&] {
    pool.run(kParts, [&](int part, int) {
      const size_t n = kBytes / kParts;
      sink.fetch_or(read(static_cast<const std::byte*>(p) + static_cast<size_t>(part) * n, n));
    });
  });
  munmap(p, kBytes);
  return 1e-9 * rate;
}

}  // namespace

MachineLimits measure_limits(ThreadPool& pool) {
  const LimitsTable& t = table();
  return {.read_gbps = read_speed(pool, t.read),
          .int8_gops = peak(pool, t.int8_rounds, t.int8_ops_per_round),
          .f32_gflops = peak(pool, t.f32_rounds, t.f32_ops_per_round)};
}

}  // namespace quipu::kernels

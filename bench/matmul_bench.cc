// Speed of the matrix products: GB/s of weights and GOP/s (a product and a sum are 2), and their share of
// what the machine can do. Usage: matmul_bench [threads [n_cols [type]]]; QUIPU_ISA chooses the instruction
// set.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/dispatch.h"
#include "kernels/machine_limits.h"
#include "kernels/machine_limits_impl.h"
#include "kernels/matmul.h"
#include "quant/type.h"

namespace quipu {
namespace {

using kernels::ActKind;
using kernels::Product;
using kernels::Weights;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::byte* allocate(size_t bytes) {
  return static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

// Any bytes are weights, as long as the factors of the blocks are numbers of moderate size.
void fill(std::byte* p, size_t n, TensorType type) {
  uint64_t state = 88172645463325252ull;
  const auto next = [&] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  for (size_t i = 0; i + 8 <= n; i += 8) {
    const uint64_t v = next();
    std::memcpy(p + i, &v, 8);
  }
  const auto half = [&] { return static_cast<uint16_t>((next() & 0x83ff) | (5 + next() % 5) << 10); };
  const TypeInfo& info = *type_info(type);
  const auto bytes = static_cast<size_t>(info.block_bytes);
  for (size_t at = 0; at + bytes <= n; at += bytes) {
    const uint16_t d = half(), m = half();
    if (type == TensorType::kF32 || type == TensorType::kBF16) {
      const float f = 1e-3f * static_cast<float>(next() % 1000) - 0.5f;
      std::memcpy(p + at,
                  type == TensorType::kF32 ? reinterpret_cast<const char*>(&f)
                                           : reinterpret_cast<const char*>(&f) + 2,
                  bytes);
      continue;
    }
    std::memcpy(p + at + (type == TensorType::kQ6_K ? 208 : 0), &d, 2);
    if (type == TensorType::kQ4_1 || type == TensorType::kQ4_K) std::memcpy(p + at + 2, &m, 2);
  }
}

struct Bench {
  ThreadPool& pool;
  kernels::MachineLimits limits;
  int64_t n_cols;

  double read_seconds(const std::byte* p, size_t bytes) {
    const kernels::LimitsTable& t = kernels::active_isa() == Isa::kAvx512 ? kernels::avx512::kLimits
                                    : kernels::active_isa() == Isa::kAvx2 ? kernels::avx2::kLimits
                                                                          : kernels::scalar::kLimits;
    const double start = now();
    pool.run(64, [&](int part, int) {
      const size_t n = bytes / 64 / 256 * 256;
      volatile uint64_t sink = t.read(p + static_cast<size_t>(part) * n, n);
      (void)sink;
    });
    return now() - start;
  }

  void run(TensorType type) {
    // A model's worth of matrices, so that no weight is in a cache when its turn comes.
    constexpr int64_t kRows = 8192;
    const auto row = static_cast<size_t>(*row_bytes(type, n_cols));
    const size_t matrix = row * kRows;
    const int n_matrices = static_cast<int>(std::max<size_t>(1, (size_t{512} << 20) / matrix));
    const size_t bytes = matrix * static_cast<size_t>(n_matrices);
    std::byte* w = allocate(bytes);
    fill(w, matrix, type);
    for (int i = 1; i < n_matrices; ++i) std::memcpy(w + static_cast<size_t>(i) * matrix, w, matrix);
    std::vector<float> x(static_cast<size_t>(256 * n_cols)), y(static_cast<size_t>(256 * kRows));
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7919 % 1000) * 1e-3f - 0.5f;
    const ActKind kind = kernels::act_kind(type);
    std::byte* acts = allocate(kernels::act_bytes(kind, n_cols, 256));
    std::byte* scratch = allocate(static_cast<size_t>(pool.size()) * kernels::matmul_scratch_bytes(n_cols));
    double one = 0;
    for (int64_t tokens : {1, 2, 4, 8, 16, 32, 256}) {
      kernels::prepare(pool, kind, x.data(), n_cols, n_cols, tokens, acts);
      const int used = tokens > 32 ? 2 : n_matrices;
      const auto multiply = [&](int i) {
        const Product p = {{w + static_cast<size_t>(i) * matrix, type, kRows, n_cols}, y.data(), kRows};
        kernels::matmul(pool, std::span(&p, 1), acts, tokens, scratch);
      };
      std::vector<double> seconds, cpu, share;
      for (int round = 0; round < 7; ++round) {
        const double read = tokens > 32 ? 1 : read_seconds(w, bytes);
        const double start = now(), cpu_start = thread_seconds();
        for (int i = 0; i < used; ++i) multiply(i);
        seconds.push_back(now() - start);
        cpu.push_back(thread_seconds() - cpu_start);
        share.push_back(read / seconds.back());
      }
      const double s = median(seconds);
      const double gops = 2e-9 * static_cast<double>(used * kRows * n_cols * tokens);
      const double peak = kind == ActKind::kFloat ? limits.f32_gflops : limits.int8_gops;
      if (tokens == 1) one = s;
      fmt::print("{:5} {:6} {:3} tokens: ", type_name(type), isa_name(kernels::active_isa()), tokens);
      if (tokens <= 32)
        fmt::print("{:5.1f} GB/s ({:3.0f} % of a read just before), rate x{:4.1f}, ",
                   1e-9 * static_cast<double>(matrix) * used / s, 100 * median(share),
                   static_cast<double>(tokens) * one / s);
      fmt::print("{:6.0f} GOP/s ({:2.0f} % of peak)", gops / s, 100 * gops / s / peak);
      if (tokens > 32) {
        const double per_core = gops / median(cpu) / pool.size();
        fmt::print(", by processor time {:6.0f} a thread ({:2.0f} %)", per_core,
                   100 * per_core * pool.size() / peak);
      }
      fmt::print("\n");
    }
    std::free(scratch);
    std::free(acts);
    std::free(w);
  }
};

int run(int threads, int64_t n_cols, std::string_view only) {
  if (auto chosen = kernels::init(); !chosen) {
    fmt::print(stderr, "{}\n", chosen.error().message);
    return 1;
  }
  auto pool = ThreadPool::create(threads);
  if (!pool) {
    fmt::print(stderr, "{}\n", pool.error().message);
    return 1;
  }
  Bench bench{**pool, kernels::measure_limits(**pool), n_cols};
  fmt::print("{} threads, {}: reads {:.1f} GB/s, int8 {:.0f} GOP/s, f32 {:.0f} GFLOP/s\n", threads,
             isa_name(kernels::active_isa()), bench.limits.read_gbps, bench.limits.int8_gops,
             bench.limits.f32_gflops);
  for (TensorType type : {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ4_1, TensorType::kQ8_0,
                          TensorType::kQ4_0, TensorType::kF16, TensorType::kBF16, TensorType::kF32})
    if ((only.empty() || only == type_name(type)) && n_cols % type_info(type)->block_elems == 0)
      bench.run(type);
  return 0;
}

}  // namespace
}  // namespace quipu

int main(int argc, char** argv) {
  return quipu::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : quipu::default_thread_count(),
                    argc > 2 ? std::max(32, std::atoi(argv[2])) : 2048, argc > 3 ? argv[3] : "");
}

// Speed of attention over a paged cache: decode as GB/s of K and V read, prefill as GFLOP/s (4 per query,
// key and dimension). Usage: attention_bench [threads [f16|f32|bf16|q8_0|q4_0]];
// QUIPU_ISA chooses the instruction set.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/attention.h"
#include "kernels/dispatch.h"

namespace quipu {
namespace {

using kernels::AttentionSeq;
using kernels::AttentionShape;
using kernels::kBlockTokens;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::byte* allocate(size_t bytes) {
  return static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
}

// Several layers, so that what a decode step reads is far larger than the caches, as in a model.
struct Cache {
  Cache(kernels::KvType type, int heads, int kv_heads, int dim, int layers, int64_t tokens)
      : n_layers(layers) {
    shape.n_heads = heads;
    shape.n_kv_heads = kv_heads;
    shape.head_dim_k = shape.head_dim_v = dim;
    shape.type_k = shape.type_v = type;
    const size_t head = static_cast<size_t>(kernels::kv_bytes_per_32(type) * dim);
    shape.k_head_bytes = shape.v_head_bytes = 2 * head;
    shape.v_offset = head;
    layer_bytes = 2 * head * static_cast<size_t>(kv_heads);
    const size_t block = layer_bytes * static_cast<size_t>(layers),
                 n = static_cast<size_t>(tokens / kBlockTokens);
    bytes = block * n;
    data = allocate(bytes);
    uint32_t state = 1;
    for (size_t i = 0; i < bytes; i += 2) {
      state = state * 1664525u + 1013904223u;
      const uint16_t half = static_cast<uint16_t>((state >> 16 & 0x83ff) | (8 + (state >> 8) % 7) << 10);
      std::memcpy(data + i, &half, 2);
    }
    for (size_t i = 0; i < n; ++i) blocks.push_back(data + i * block);
  }
  ~Cache() { std::free(data); }
  AttentionShape layer(int l) const {
    AttentionShape s = shape;
    s.k_offset += static_cast<size_t>(l) * layer_bytes;
    s.v_offset += static_cast<size_t>(l) * layer_bytes;
    return s;
  }
  AttentionShape shape;
  int n_layers;
  size_t layer_bytes = 0, bytes = 0;
  std::byte* data = nullptr;
  std::vector<const std::byte*> blocks;
};

// Queries, results and scratch of one pass over all layers of a cache.
struct Pass {
  Pass(ThreadPool& p, const Cache& c, int64_t tokens, int64_t n_rows) : pool(p), cache(c), rows(n_rows) {
    width = int64_t{c.shape.n_heads} * c.shape.head_dim_k;
    q.resize(static_cast<size_t>(rows * width));
    out.resize(q.size());
    for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(i * 7919 % 1000) * 1e-3f - 0.5f;
    scratch = allocate(kernels::attention_scratch_bytes(c.shape, rows, pool.size()));
    seq = {0, rows, tokens - rows, c.blocks.data()};
  }
  ~Pass() { std::free(scratch); }

  double seconds() {
    const double start = now();
    for (int l = 0; l < cache.n_layers; ++l)
      kernels::attention(pool, cache.layer(l), std::span(&seq, 1), q.data(), width, out.data(), width,
                         scratch);
    return now() - start;
  }

  ThreadPool& pool;
  const Cache& cache;
  int64_t rows, width = 0;
  std::vector<float> q, out;
  std::byte* scratch = nullptr;
  AttentionSeq seq;
};

// A linear read of the same memory by the same threads.
double read_seconds(ThreadPool& pool, const Cache& c) {
  using Vector = uint64_t __attribute__((vector_size(16)));
  constexpr int kParts = 64;
  const double start = now();
  pool.run(kParts, [&](int part, int) {
    const size_t n = c.bytes / kParts / 64 * 4;
    const auto* p = reinterpret_cast<const Vector*>(c.data) + static_cast<size_t>(part) * n;
    Vector a = {}, b = {}, d = {}, e = {};
    for (size_t i = 0; i < n; i += 4) {
      a += p[i];
      b += p[i + 1];
      d += p[i + 2];
      e += p[i + 3];
    }
    a += b + d + e;
    asm volatile("" ::"x"(a));  // keeps the reads
  });
  return now() - start;
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

int run(int threads, kernels::KvType type) {
  if (auto chosen = kernels::init(); !chosen) {
    fmt::print(stderr, "{}\n", chosen.error().message);
    return 1;
  }
  auto created = ThreadPool::create(threads);
  if (!created) {
    fmt::print(stderr, "{}\n", created.error().message);
    return 1;
  }
  ThreadPool& pool = **created;
  fmt::print("{} threads, {}\n", threads, isa_name(kernels::active_isa()));
  struct Model {
    int heads, kv_heads, dim;
  };
  for (const Model m : {Model{9, 3, 64}, Model{32, 8, 64}, Model{32, 8, 128}}) {
    for (int64_t tokens : {1024, 4096, 16384}) {
      const size_t layer_bytes =
          static_cast<size_t>(2 * kernels::kv_bytes_per_32(type) * m.kv_heads * m.dim / 32 * tokens);
      const int layers = static_cast<int>(std::clamp<size_t>((size_t{192} << 20) / layer_bytes, 1, 32));
      const Cache cache(type, m.heads, m.kv_heads, m.dim, layers, tokens);
      // Memory's speed changes with what else the machine does: each pass is compared with a read just before
      // it.
      std::vector<double> decode, share, prefill;
      Pass one_row(pool, cache, tokens, 1);
      for (int i = 0; i < 15; ++i) {
        const double read = read_seconds(pool, cache);
        decode.push_back(one_row.seconds());
        share.push_back(read / decode.back());
      }
      constexpr int64_t kRows = 256;
      const Cache one(type, m.heads, m.kv_heads, m.dim, 1, tokens);
      Pass many_rows(pool, one, tokens, kRows);
      for (int i = 0; i < 7; ++i) prefill.push_back(many_rows.seconds());
      const double pairs = static_cast<double>(kRows) * (static_cast<double>(tokens) - kRows / 2.0);
      fmt::print(
          "{:2}:{} heads of {:3}, {:5} tokens ({:3} MB): decode {:5.1f} ns a key, {:5.1f} GB/s ({:3.0f} % of "
          "a linear read), "
          "prefill of "
          "256 {:5.0f} GFLOP/s\n",
          m.heads, m.kv_heads, m.dim, tokens, cache.bytes / 1000000,
          median(decode) * 1e9 / (static_cast<double>(tokens) * layers * m.kv_heads),
          static_cast<double>(cache.bytes) / median(decode) * 1e-9, 100 * median(share),
          4 * pairs * m.heads * m.dim / median(prefill) * 1e-9);
    }
  }
  return 0;
}

}  // namespace
}  // namespace quipu

int main(int argc, char** argv) {
  using quipu::kernels::KvType;
  const std::string_view name = argc > 2 ? argv[2] : "f16";
  const KvType type = name == "f32"    ? KvType::kF32
                      : name == "bf16" ? KvType::kBf16
                      : name == "q8_0" ? KvType::kQ8_0
                      : name == "q4_0" ? KvType::kQ4_0
                                       : KvType::kF16;
  return quipu::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : quipu::default_thread_count(), type);
}

// For the tests of attention and of what it reads: sequences with made-up queries, keys and values, and a
// small engine that runs them in steps.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "kernels/attention.h"
#include "kernels/dispatch.h"

namespace quipu::kernels::test {

inline std::vector<Isa> isas() {
  std::vector<Isa> list;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (isa <= best_isa()) list.push_back(isa);
  return list;
}

struct Bytes {  // 64-byte aligned, zeroed
  explicit Bytes(size_t n) : data(static_cast<std::byte*>(std::aligned_alloc(64, round_up<size_t>(n, 64)))) {
    std::memset(data, 0, round_up<size_t>(n, 64));
  }
  ~Bytes() { std::free(data); }
  Bytes(Bytes&& o) noexcept : data(std::exchange(o.data, nullptr)) {}
  std::byte* data;
};

inline float half_value(const std::byte* p, size_t i) {
  _Float16 h;
  std::memcpy(&h, p + 2 * i, 2);
  return static_cast<float>(h);
}

// What a head's group (kv_type.h) holds at a row and column; a scale is the token's.
inline float stored_value(const std::byte* group, KvType type, size_t row, size_t column, size_t token) {
  const std::byte* at =
      group + static_cast<size_t>(kv_scale_bytes(type)) + row * static_cast<size_t>(kv_row_bytes(type));
  switch (type) {
    case KvType::kF16:
      return half_value(at, column);
    case KvType::kF32: {
      float f;
      std::memcpy(&f, at + 4 * column, 4);
      return f;
    }
    case KvType::kBf16: {
      uint16_t b;
      std::memcpy(&b, at + 2 * column, 2);
      return std::bit_cast<float>(static_cast<uint32_t>(b) << 16);
    }
    case KvType::kQ8_0:
      return static_cast<float>(static_cast<int8_t>(at[column])) * half_value(group, token);
    case KvType::kQ4_0:
      break;
  }
  const int byte = static_cast<int>(at[column % 16]);
  return static_cast<float>((column < 16 ? byte % 16 : byte / 16) - 8) * half_value(group, token);
}
inline float stored_k(const std::byte* head, KvType type, size_t dim, size_t token) {
  return stored_value(head + dim / 32 * 32 * static_cast<size_t>(kv_bytes_per_32(type)), type, dim % 32,
                      token % 32, token % 32);
}
inline float stored_v(const std::byte* head, KvType type, size_t dim, size_t token) {
  return stored_value(head + dim / 32 * 32 * static_cast<size_t>(kv_bytes_per_32(type)), type, token % 32,
                      dim % 32, token % 32);
}

struct Config {
  int heads, kv_heads, dim_k, dim_v;
  KvType type_k = KvType::kF16, type_v = KvType::kF16;
  int64_t window = 0;

  AttentionShape shape() const {
    AttentionShape s;
    s.n_heads = heads;
    s.n_kv_heads = kv_heads;
    s.head_dim_k = round_up(dim_k, 32);
    s.head_dim_v = round_up(dim_v, 32);
    s.type_k = type_k;
    s.type_v = type_v;
    s.k_head_bytes = static_cast<size_t>(s.head_dim_k * kv_bytes_per_32(type_k));
    s.v_head_bytes = static_cast<size_t>(s.head_dim_v * kv_bytes_per_32(type_v));
    s.k_offset = 64;  // not at the start
    s.v_offset = s.k_offset + static_cast<size_t>(kv_heads) * s.k_head_bytes;
    s.window = window;
    return s;
  }
  size_t block_bytes() const {
    const AttentionShape s = shape();
    return s.v_offset + static_cast<size_t>(kv_heads) * s.v_head_bytes;
  }
};

enum class Data { kPlain, kHuge, kEqual, kTiny, kMixed };

// One sequence: queries, keys and values of every position, made once.
struct Tokens {
  Tokens(const Config& c, int64_t n, unsigned seed, Data kind) : n_tokens(n) {
    const AttentionShape s = c.shape();
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& v, int heads, int padded, int dim, float scale, bool query) {
      v.assign(static_cast<size_t>(n * heads * padded), 0.0f);
      for (int64_t row = 0; row < n * heads; ++row) {
        for (int d = 0; d < dim; ++d) {
          float x = normal(random) * scale;
          if (kind == Data::kHuge) x *= query ? 1e33f : 1e5f;  // saturates f16; scores overflow
          if (kind == Data::kEqual) x = 0.75f;
          if (kind == Data::kTiny) x *= query ? 1e-38f : 1e-6f;
          if (kind == Data::kMixed && random() % 7 == 0) {
            const float odd[] = {0.0f, -0.0f, 1e-40f, 70000.0f, -70000.0f, 6e-8f, -3e-8f, 65519.0f, 2e-5f};
            x = odd[random() % std::size(odd)];
          }
          v[static_cast<size_t>(row * padded + d)] = x;
        }
      }
    };
    fill(q, c.heads, s.head_dim_k, c.dim_k, 1.0f / std::sqrt(static_cast<float>(c.dim_k)), true);
    fill(k, c.kv_heads, s.head_dim_k, c.dim_k, 1.5f, false);
    fill(v, c.kv_heads, s.head_dim_v, c.dim_v, 1.0f, false);
  }
  int64_t n_tokens;
  std::vector<float> q, k, v;
};

// A sequence's cache and results.
struct Sequence {
  Sequence(const Config& c, const Tokens& t) : config(c), tokens(t) {
    const int64_t n_blocks = ceil_div<int64_t>(t.n_tokens, kBlockTokens);
    for (int64_t i = 0; i < n_blocks; ++i) {
      blocks.emplace_back(c.block_bytes());
      pointers.push_back(blocks.back().data);
    }
    out.assign(static_cast<size_t>(t.n_tokens * c.heads * c.shape().head_dim_v), -1.0f);
  }
  const Config& config;
  const Tokens& tokens;
  std::vector<Bytes> blocks;
  std::vector<const std::byte*> pointers;
  std::vector<float> out;
  int64_t done = 0;
};

// Runs steps over sequences, as an engine would: K and V of the step's rows are stored, then all rows attend.
struct Engine {
  Engine(const Config& c, int threads)
      : config(c), shape(c.shape()), pool(std::move(*ThreadPool::create(threads))) {}

  struct Rows {
    Sequence* seq;
    int64_t n;
  };

  AttentionSeq rows_of(const Rows& r, int64_t row0) const {
    return {row0, r.n, r.seq->done, r.seq->pointers.data()};
  }

  void store(const Rows& r) {
    const int64_t ldk = int64_t{config.kv_heads} * shape.head_dim_k,
                  ldv = int64_t{config.kv_heads} * shape.head_dim_v;
    store_kv(*pool, shape, rows_of(r, 0), r.seq->tokens.k.data() + r.seq->done * ldk, ldk,
             r.seq->tokens.v.data() + r.seq->done * ldv, ldv);
  }

  // K and V only.
  void skip(const Rows& r) {
    store(r);
    r.seq->done += r.n;
  }

  void step(const std::vector<Rows>& batch) {
    const int64_t width = int64_t{config.heads} * shape.head_dim_k,
                  out_width = int64_t{config.heads} * shape.head_dim_v;
    const int64_t ldq = width + 16, ldo = out_width + 32;
    int64_t total = 0;
    std::vector<AttentionSeq> seqs;
    for (const Rows& r : batch) {
      store(r);
      seqs.push_back(rows_of(r, total));
      total += r.n;
    }
    std::vector<float> q(static_cast<size_t>(total * ldq)), out(static_cast<size_t>(total * ldo), 5.0f);
    int64_t row = 0;
    for (const Rows& r : batch)
      for (int64_t i = 0; i < r.n; ++i, ++row)
        std::memcpy(&q[static_cast<size_t>(row * ldq)],
                    &r.seq->tokens.q[static_cast<size_t>((r.seq->done + i) * width)],
                    static_cast<size_t>(width) * sizeof(float));
    // A guard behind the scratch: it must suffice, whatever the context's length.
    const size_t bytes = attention_scratch_bytes(shape, total, pool->size());
    Bytes scratch(bytes + 64);
    std::memset(scratch.data, 0xEE, bytes + 64);
    attention(*pool, shape, seqs, q.data(), ldq, out.data(), ldo, scratch.data);
    for (size_t i = bytes; i < bytes + 64; ++i) ASSERT_EQ(scratch.data[i], std::byte{0xEE});
    row = 0;
    for (const Rows& r : batch) {
      for (int64_t i = 0; i < r.n; ++i, ++row) {
        std::memcpy(&r.seq->out[static_cast<size_t>((r.seq->done + i) * out_width)],
                    &out[static_cast<size_t>(row * ldo)], static_cast<size_t>(out_width) * sizeof(float));
        for (int64_t j = out_width; j < ldo; ++j) ASSERT_EQ(out[static_cast<size_t>(row * ldo + j)], 5.0f);
      }
      r.seq->done += r.n;
    }
  }

  Config config;
  AttentionShape shape;
  std::unique_ptr<ThreadPool> pool;
};

}  // namespace quipu::kernels::test

// The definition of attention.h, one query at a time: the reference that the vector instruction sets are
// tested against.
#include <bit>
#include <cmath>
#include <initializer_list>

#include "kernels/attention_impl.h"
#include "kernels/exp_constants.h"

namespace quipu::kernels::scalar {

namespace {

constexpr int kTokens = 32;
constexpr float kFloatMax = 0x1.fffffep127f;
constexpr float kHalfMax = 65504.0f;
constexpr float kBf16Max = 0x1.fep127f;

float widen(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, exponent = (h >> 10) & 31u,
                 mantissa = h & 1023u;
  if (exponent == 0) {
    const float v = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -v : v;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) |
                              mantissa << 13);
}

// |x| <= 65504. Adding a number whose last place is the half's last place rounds to nearest even.
uint16_t narrow(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x38800000u) {  // below 2^-14: multiples of 2^-24
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

float kept(float x, float limit) {
  if (x != x) return 0.0f;
  return x < -limit ? -limit : x > limit ? limit : x;
}

uint16_t narrow_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// One group of 32 rows and 32 columns, see kv_type.h. `of_token`: the row (V) or the column (K).
float element(const std::byte* group, KvType type, int row, int column, int of_token) {
  const std::byte* at = group + kv_scale_bytes(type) + row * kv_row_bytes(type);
  const auto scale = [&] { return widen(reinterpret_cast<const uint16_t*>(group)[of_token]); };
  switch (type) {
    case KvType::kF16:
      return widen(reinterpret_cast<const uint16_t*>(at)[column]);
    case KvType::kF32:
      return reinterpret_cast<const float*>(at)[column];
    case KvType::kBf16:
      return std::bit_cast<float>(static_cast<uint32_t>(reinterpret_cast<const uint16_t*>(at)[column]) << 16);
    case KvType::kQ8_0:
      return static_cast<float>(static_cast<int8_t>(at[column])) * scale();
    case KvType::kQ4_0:
      break;
  }
  const int byte = static_cast<int>(at[column % 16]);
  return static_cast<float>((column < 16 ? byte & 15 : byte >> 4) - 8) * scale();
}

void set_element(std::byte* group, KvType type, int row, int column, float x) {
  std::byte* at = group + row * kv_row_bytes(type);
  if (type == KvType::kF16)
    reinterpret_cast<uint16_t*>(at)[column] = narrow(kept(x, kHalfMax));
  else if (type == KvType::kBf16)
    reinterpret_cast<uint16_t*>(at)[column] = narrow_bf16(kept(x, kBf16Max));
  else
    reinterpret_cast<float*>(at)[column] = kept(x, kFloatMax);
}

// 32 values of one token: a column of K, a row of V.
void set_quantised(std::byte* group, KvType type, int token, bool is_k, const float* x) {
  uint8_t q[kTokens];
  const bool is_q8 = type == KvType::kQ8_0;
  reinterpret_cast<uint16_t*>(group)[token] = is_q8 ? kv_round_q8(x, q) : kv_round_q4(x, q);
  for (int i = 0; i < kTokens; ++i) {
    const int row = is_k ? i : token, column = is_k ? token : i;
    std::byte* at = group + kv_scale_bytes(type) + row * kv_row_bytes(type);
    if (is_q8)
      at[column] = static_cast<std::byte>(q[i]);
    else if (column < 16)
      at[column] = (at[column] & std::byte{0xF0}) | static_cast<std::byte>(q[i]);
    else
      at[column - 16] = (at[column - 16] & std::byte{0x0F}) | static_cast<std::byte>(q[i] << 4);
  }
}

// See exp_constants.h.
float exp_flushed(float x) {
  if (!(x >= kExpLowest)) return 0.0f;
  const float t = std::fma(x, kExpLog2E, kExpRound);
  const float n = t - kExpRound;
  const float r = std::fma(-n, kExpLn2Lo, std::fma(-n, kExpLn2Hi, x));
  float p = kExpC6;
  for (float c : {kExpC5, kExpC4, kExpC3, kExpC2, 1.0f, 1.0f}) p = std::fma(p, r, c);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(t) << kExpMantissaBits));
}

float tree_sum(const float* p) {
  float x[kTokens];
  for (int i = 0; i < kTokens; ++i) x[i] = p[i];
  for (int half = kTokens / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
}

void pack(const QueryTile& t, const float* q, int64_t ldq, float* packed) {
  for (int i = 0; i < t.n_queries; ++i)
    for (int d = 0; d < t.head_dim_k; ++d)
      packed[static_cast<int64_t>(i) * t.head_dim_k + d] =
          q[i / t.group * ldq + i % t.group * t.head_dim_k + d];
}

void clear(const QueryTile& t, const TileState& s) {
  for (int i = 0; i < t.n_queries; ++i) {
    s.m[i] = -HUGE_VALF;
    s.l[i] = 0.0f;
    for (int d = 0; d < t.head_dim_v; ++d) s.o[static_cast<int64_t>(i) * t.head_dim_v + d] = 0.0f;
  }
}

// One query and one block of which it sees the tokens [first, end), at least one.
void attend_block(const QueryTile& t, const float* q, const std::byte* block, int first, int end, float& m,
                  float& l, float* o) {
  const std::byte* k = block + t.k_offset;
  const std::byte* v = block + t.v_offset;
  const int k_group = kTokens * kv_bytes_per_32(t.type_k), v_group = kTokens * kv_bytes_per_32(t.type_v);
  float p[kTokens] = {};
  float now = m;
  for (int j = first; j < end; ++j) {
    float s = 0.0f;
    for (int d = 0; d < t.head_dim_k; ++d)
      s = std::fma(q[d], element(k + d / kTokens * k_group, t.type_k, d % kTokens, j, j), s);
    p[j] = s >= -kFloatMax ? (s < kFloatMax ? s : kFloatMax) : -kFloatMax;  // NaN: the smallest
    now = p[j] > now ? p[j] : now;
  }
  for (int j = first; j < end; ++j) p[j] = exp_flushed(p[j] - now);
  const float c = exp_flushed(m - now);
  m = now;
  l = std::fma(l, c, tree_sum(p));
  for (int d = 0; d < t.head_dim_v; ++d) {
    float sum = o[d] * c;
    const std::byte* group = v + d / kTokens * v_group;
    for (int j = 0; j < kTokens; ++j) sum = std::fma(p[j], element(group, t.type_v, j, d % kTokens, j), sum);
    o[d] = sum;
  }
}

void attend(const QueryTile& t, const float* packed, int64_t begin, int64_t end, const TileState& s, float*) {
  for (int i = 0; i < t.n_queries; ++i) {
    const int64_t position = t.position0 + i / t.group;
    const int64_t first_seen = t.window > 0 && position >= t.window ? position + 1 - t.window : 0;
    for (int64_t block = begin; block < end; ++block) {
      const int64_t token0 = block * kTokens;
      const int64_t first = first_seen > token0 ? first_seen - token0 : 0;
      const int64_t last = position - token0 < kTokens - 1 ? position - token0 : kTokens - 1;
      if (first > last) continue;
      attend_block(t, packed + static_cast<int64_t>(i) * t.head_dim_k, t.blocks[block],
                   static_cast<int>(first), static_cast<int>(last + 1), s.m[i], s.l[i],
                   s.o + static_cast<int64_t>(i) * t.head_dim_v);
    }
  }
}

void merge(const QueryTile& t, const TileState& sum, const TileState& part) {
  for (int i = 0; i < t.n_queries; ++i) {
    const float now = sum.m[i] > part.m[i] ? sum.m[i] : part.m[i];
    const float a = exp_flushed(sum.m[i] - now), b = exp_flushed(part.m[i] - now);
    sum.m[i] = now;
    sum.l[i] = std::fma(sum.l[i], a, part.l[i] * b);
    for (int64_t d = static_cast<int64_t>(i) * t.head_dim_v; d < static_cast<int64_t>(i + 1) * t.head_dim_v;
         ++d)
      sum.o[d] = std::fma(sum.o[d], a, part.o[d] * b);
  }
}

void finish(const QueryTile& t, const TileState& s, float* out, int64_t ldo) {
  for (int i = 0; i < t.n_queries; ++i)
    for (int d = 0; d < t.head_dim_v; ++d)
      out[i / t.group * ldo + i % t.group * t.head_dim_v + d] =
          s.o[static_cast<int64_t>(i) * t.head_dim_v + d] / s.l[i] + 0.0f;
}

void store(std::byte* head, KvType type, bool is_k, const float* x, int64_t ldx, int dim, int lane, int n) {
  for (int d = 0; d < dim; d += kTokens, head += kTokens * kv_bytes_per_32(type)) {
    for (int i = 0; i < n; ++i) {
      const float* from = x + i * ldx + d;
      const int token = lane + i;
      if (kv_is_quantised(type)) {
        set_quantised(head, type, token, is_k, from);
        continue;
      }
      for (int j = 0; j < kTokens; ++j)
        is_k ? set_element(head, type, j, token, from[j]) : set_element(head, type, token, j, from[j]);
    }
  }
}

void store_k(std::byte* head, KvType type, const float* x, int64_t ldx, int dim, int lane, int n) {
  store(head, type, true, x, ldx, dim, lane, n);
}

void store_v(std::byte* head, KvType type, const float* x, int64_t ldx, int dim, int lane, int n) {
  store(head, type, false, x, ldx, dim, lane, n);
}

}  // namespace

const AttentionTable kAttention = {pack, clear, attend, merge, finish, store_k, store_v};

}  // namespace quipu::kernels::scalar

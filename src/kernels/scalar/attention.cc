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

float element(const std::byte* head, bool half, int64_t i) {
  return half ? widen(reinterpret_cast<const uint16_t*>(head)[i]) : reinterpret_cast<const float*>(head)[i];
}

void set_element(std::byte* head, bool half, int64_t i, float x) {
  if (half)
    reinterpret_cast<uint16_t*>(head)[i] = narrow(kept(x, kHalfMax));
  else
    reinterpret_cast<float*>(head)[i] = kept(x, kFloatMax);
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
  float p[kTokens] = {};
  float now = m;
  for (int j = first; j < end; ++j) {
    float s = 0.0f;
    for (int d = 0; d < t.head_dim_k; ++d)
      s = std::fma(q[d], element(k, t.k_is_half, static_cast<int64_t>(d) * kTokens + j), s);
    p[j] = s >= -kFloatMax ? (s < kFloatMax ? s : kFloatMax) : -kFloatMax;  // NaN: the smallest
    now = p[j] > now ? p[j] : now;
  }
  for (int j = first; j < end; ++j) p[j] = exp_flushed(p[j] - now);
  const float c = exp_flushed(m - now);
  m = now;
  l = std::fma(l, c, tree_sum(p));
  for (int d = 0; d < t.head_dim_v; ++d) {
    float sum = o[d] * c;
    const int64_t base = static_cast<int64_t>(d / kTokens) * kTokens * kTokens + d % kTokens;
    for (int j = 0; j < kTokens; ++j) sum = std::fma(p[j], element(v, t.v_is_half, base + j * kTokens), sum);
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

void store_k(std::byte* head, bool half, const float* x, int64_t ldx, int dim, int lane, int n) {
  for (int d = 0; d < dim; ++d)
    for (int i = 0; i < n; ++i)
      set_element(head, half, static_cast<int64_t>(d) * kTokens + lane + i, x[i * ldx + d]);
}

void store_v(std::byte* head, bool half, const float* x, int64_t ldx, int dim, int lane, int n) {
  for (int i = 0; i < n; ++i)
    for (int d = 0; d < dim; ++d)
      set_element(head, half,
                  static_cast<int64_t>(d / kTokens) * kTokens * kTokens + (lane + i) * kTokens + d % kTokens,
                  x[i * ldx + d]);
}

}  // namespace

const AttentionTable kAttention = {pack, clear, attend, merge, finish, store_k, store_v};

}  // namespace quipu::kernels::scalar

// 256-bit helpers of the matrix products: included inside the unnamed namespace of each vector instruction
// set, which compiles its own copy. Lanes of a result are blocks or rows; which, depends on the stride that
// the caller gives.

#define QUIPU_INLINE inline __attribute__((always_inline))
#define QUIPU_UNROLL _Pragma("GCC unroll 16")

QUIPU_INLINE __m128i load16_bytes(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
QUIPU_INLINE __m256i load32_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
// Two pieces of 16 bytes.
QUIPU_INLINE __m256i load_pair(const void* low, const void* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load16_bytes(low)), load16_bytes(high), 1);
}
QUIPU_INLINE uint16_t load_u16(const uint8_t* p) {
  uint16_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
QUIPU_INLINE int32_t load_i32(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// Eight halves, `stride` bytes apart.
QUIPU_INLINE __m256 load_halves(const uint8_t* p, size_t stride) {
  __m128i a = _mm_cvtsi32_si128(load_u16(p)), b = _mm_cvtsi32_si128(load_u16(p + 4 * stride));
  a = _mm_insert_epi16(a, load_u16(p + stride), 1);
  b = _mm_insert_epi16(b, load_u16(p + 5 * stride), 1);
  a = _mm_insert_epi16(a, load_u16(p + 2 * stride), 2);
  b = _mm_insert_epi16(b, load_u16(p + 6 * stride), 2);
  a = _mm_insert_epi16(a, load_u16(p + 3 * stride), 3);
  b = _mm_insert_epi16(b, load_u16(p + 7 * stride), 3);
  return _mm256_cvtph_ps(_mm_unpacklo_epi64(a, b));
}

// Eight dwords, `stride` bytes apart.
QUIPU_INLINE __m256i load_dwords(const uint8_t* p, size_t stride) {
  __m128i a = _mm_cvtsi32_si128(load_i32(p)), b = _mm_cvtsi32_si128(load_i32(p + 2 * stride));
  __m128i c = _mm_cvtsi32_si128(load_i32(p + 4 * stride)), d = _mm_cvtsi32_si128(load_i32(p + 6 * stride));
  a = _mm_insert_epi32(a, load_i32(p + stride), 1);
  b = _mm_insert_epi32(b, load_i32(p + 3 * stride), 1);
  c = _mm_insert_epi32(c, load_i32(p + 5 * stride), 1);
  d = _mm_insert_epi32(d, load_i32(p + 7 * stride), 1);
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi64(a, b)), _mm_unpacklo_epi64(c, d),
                                 1);
}

// Dwords holding two halves: the low ones and the high ones as floats.
QUIPU_INLINE void widen_half_pairs(__m256i v, __m256* low, __m256* high) {
  const __m256i split = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8,
                                         9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  const __m256i x = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(v, split), 0xd8);
  *low = _mm256_cvtph_ps(_mm256_castsi256_si128(x));
  *high = _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1));
}

// 16 bytes of eight places `stride` apart; out[i] holds dword i of all of them.
QUIPU_INLINE void transpose_dwords(const uint8_t* p, size_t stride, __m256i* out) {
  const __m256i a = load_pair(p, p + 4 * stride), b = load_pair(p + stride, p + 5 * stride);
  const __m256i c = load_pair(p + 2 * stride, p + 6 * stride), d = load_pair(p + 3 * stride, p + 7 * stride);
  const __m256i ab0 = _mm256_unpacklo_epi32(a, b), ab1 = _mm256_unpackhi_epi32(a, b);
  const __m256i cd0 = _mm256_unpacklo_epi32(c, d), cd1 = _mm256_unpackhi_epi32(c, d);
  out[0] = _mm256_unpacklo_epi64(ab0, cd0);
  out[1] = _mm256_unpackhi_epi64(ab0, cd0);
  out[2] = _mm256_unpacklo_epi64(ab1, cd1);
  out[3] = _mm256_unpackhi_epi64(ab1, cd1);
}

// Lane i of the result: the sum of v[i]'s lanes.
QUIPU_INLINE __m256i sum_each(const __m256i* v) {
  __m256i pair[4], quad[2];
  QUIPU_UNROLL for (int i = 0; i < 4; ++i) pair[i] = _mm256_add_epi32(
      _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]), _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
  QUIPU_UNROLL for (int i = 0; i < 2; ++i) quad[i] =
      _mm256_add_epi32(_mm256_unpacklo_epi64(pair[2 * i], pair[2 * i + 1]),
                       _mm256_unpackhi_epi64(pair[2 * i], pair[2 * i + 1]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(quad[0], quad[1], 0x20),
                          _mm256_permute2x128_si256(quad[0], quad[1], 0x31));
}

// Headers of eight Q4_K blocks (16 bytes each: d, dmin, 12 bytes of packed scales and minimums), lanes =
// blocks. The byte vectors hold four groups in each dword.
struct HeaderQ4K {
  __m256 d, dmin;
  __m256i scales_0_3, scales_4_7, mins_0_3, mins_4_7;
};
QUIPU_INLINE HeaderQ4K load_header_q4_k(const uint8_t* p, size_t stride) {
  __m256i h[4];
  transpose_dwords(p, stride, h);
  HeaderQ4K o;
  widen_half_pairs(h[0], &o.d, &o.dmin);
  const __m256i six = _mm256_set1_epi8(63), four = _mm256_set1_epi8(15), top = _mm256_set1_epi8(0x30);
  o.scales_0_3 = _mm256_and_si256(h[1], six);
  o.mins_0_3 = _mm256_and_si256(h[2], six);
  o.scales_4_7 =
      _mm256_or_si256(_mm256_and_si256(h[3], four), _mm256_and_si256(_mm256_srli_epi16(h[1], 2), top));
  o.mins_4_7 = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(h[3], 4), four),
                               _mm256_and_si256(_mm256_srli_epi16(h[2], 2), top));
  return o;
}
// The eight scales of one block as bytes, group 0 lowest. General registers: vector units have enough to do.
QUIPU_INLINE int64_t scales_q4_k(const uint8_t* block) {
  const auto first = static_cast<uint32_t>(load_i32(block + 4)),
             last = static_cast<uint32_t>(load_i32(block + 12));
  const uint64_t low = first & 0x3f3f3f3f, high = (last & 0x0f0f0f0f) | ((first >> 2) & 0x30303030);
  return static_cast<int64_t>(low | high << 32);
}
// Minimums as int16 pairs, in the order of Record256::pair_sums.
QUIPU_INLINE void pair_mins(const HeaderQ4K& h, __m256i* out) {
  const __m256i even = _mm256_set1_epi32(0x00ff00ff);
  out[0] = _mm256_and_si256(h.mins_0_3, even);
  out[1] = _mm256_and_si256(_mm256_srli_epi16(h.mins_0_3, 8), even);
  out[2] = _mm256_and_si256(h.mins_4_7, even);
  out[3] = _mm256_and_si256(_mm256_srli_epi16(h.mins_4_7, 8), even);
}

// The canonical block term: t = d * dot, with minimums t = fma(d, dot, -(m * mins)).
QUIPU_INLINE __m256 block_term(__m256 d, __m256i dot) { return _mm256_mul_ps(d, _mm256_cvtepi32_ps(dot)); }
QUIPU_INLINE __m256 block_term(__m256 d, __m256i dot, __m256 m, __m256i mins) {
  return _mm256_fmsub_ps(d, _mm256_cvtepi32_ps(dot), _mm256_mul_ps(m, _mm256_cvtepi32_ps(mins)));
}
// Q4_1: m enters with the other sign, and the sum of the activations is already a float.
QUIPU_INLINE __m256 block_term(__m256 d, __m256i dot, __m256 m, __m256 sum) {
  return _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(dot), _mm256_mul_ps(m, sum));
}

// An 8 x 8 block of floats, rows `stride` floats apart, as columns.
QUIPU_INLINE void transpose_floats(const float* p, int64_t stride, __m256* out) {
  QUIPU_UNROLL for (int half = 0; half < 2; ++half) {
    __m256 r[4];  // rows i and i + 4 joined by loads, so that only shuffles inside 128 bits remain
    QUIPU_UNROLL for (int i = 0; i < 4; ++i) r[i] =
        _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + i * stride + 4 * half)),
                             _mm_loadu_ps(p + (i + 4) * stride + 4 * half), 1);
    const __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
    const __m256 c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
    out[4 * half] = _mm256_shuffle_ps(a, c, 0x44);
    out[4 * half + 1] = _mm256_shuffle_ps(a, c, 0xee);
    out[4 * half + 2] = _mm256_shuffle_ps(b, d, 0x44);
    out[4 * half + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
}

// See quantise.inc.h. n is 32 or 256.
QUIPU_INLINE __m256 tame(__m256 x) {  // NaN to 0, infinities to the largest number
  const __m256 largest = _mm256_set1_ps(__FLT_MAX__);
  x = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
  return _mm256_max_ps(_mm256_min_ps(x, largest), _mm256_sub_ps(_mm256_setzero_ps(), largest));
}
inline float quantise_unit(const float* x, int n, int8_t* q, int32_t* pairs) {
  __m256 largest = _mm256_setzero_ps();
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (int i = 0; i < n; i += 8)
    largest = _mm256_max_ps(largest, _mm256_and_ps(tame(_mm256_loadu_ps(x + i)), magnitude));
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  float scale = _mm_cvtss_f32(m) / 127.0f, inverse = 0;
  if (scale >= __FLT_MIN__)
    inverse = 127.0f / _mm_cvtss_f32(m);
  else
    scale = 0;
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (int i = 0; i < n; i += 32) {
    __m256i v[4];
    QUIPU_UNROLL for (int j = 0; j < 4; ++j) v[j] =
        _mm256_cvtps_epi32(_mm256_mul_ps(tame(_mm256_loadu_ps(x + i + 8 * j)), factor));
    const __m256i bytes = _mm256_permutevar8x32_epi32(
        _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3])), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + i), bytes);
    __m256i sums = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);  // int16: elements 0 + 1, 2 + 3 mod 4
    sums = _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0x4e));
    sums = _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0xb1));
    pairs[i / 16] = _mm_cvtsi128_si32(_mm256_castsi256_si128(sums));
    pairs[i / 16 + 1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1));
  }
  return scale;
}

// Decode, the common frame. The blocks of kStreamRows rows are one linear stream, of which memory is read
// best in order. First come the block terms, eight blocks at a time wherever rows begin: term(p, u) returns
// those of the blocks at p, whose activations are at unit u and after. Only then the sequential sums, with
// lanes = rows.
template <int kBlockBytes, class Term>
QUIPU_INLINE void decode_stream(const RowsJob& job, int64_t row0, int64_t row1, int64_t units,
                                const float* scale, Term term) {
  float* terms = reinterpret_cast<float*>(job.scratch);
  for (int64_t row = row0; row < row1; row += kStreamRows) {
    // A last group that is not full takes rows before it as well, and drops their results.
    const int64_t first = row + kStreamRows <= job.n_rows ? row : job.n_rows - kStreamRows;
    const uint8_t* p = job.w + static_cast<size_t>(first) * job.row_bytes;
    float* to = terms;
    int64_t u = 0;
    for (int64_t i = 0; i < 2 * units; ++i) {
      _mm256_storeu_ps(to, term(p, u));
      p += 8 * kBlockBytes;
      to += 8;
      u += 8;
      while (u >= units) u -= units;
    }
    __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (u = 0; u < units; u += 8) {
      __m256 column[2][8];
      QUIPU_UNROLL for (int h = 0; h < 2; ++h) transpose_floats(terms + 8 * h * units + u, units, column[h]);
      if (units - u >= 8) {
        QUIPU_UNROLL for (int k = 0; k < 8; ++k) {
          const __m256 s = _mm256_broadcast_ss(scale + u + k);
          sum[0] = _mm256_fmadd_ps(s, column[0][k], sum[0]);
          sum[1] = _mm256_fmadd_ps(s, column[1][k], sum[1]);
        }
      } else {
        for (int64_t k = 0; k < units - u; ++k) {
          const __m256 s = _mm256_broadcast_ss(scale + u + k);
          sum[0] = _mm256_fmadd_ps(s, column[0][k], sum[0]);
          sum[1] = _mm256_fmadd_ps(s, column[1][k], sum[1]);
        }
      }
    }
    if (first == row && row + kStreamRows <= row1) {
      _mm256_storeu_ps(job.y + row, sum[0]);
      _mm256_storeu_ps(job.y + row + 8, sum[1]);
    } else {
      float y[kStreamRows];
      _mm256_storeu_ps(y, sum[0]);
      _mm256_storeu_ps(y + 8, sum[1]);
      for (int64_t r = row; r < row1 && r < row + kStreamRows; ++r) job.y[r] = y[r - first];
    }
  }
}

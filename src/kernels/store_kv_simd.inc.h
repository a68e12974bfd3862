// The writing side of the KV cache for the vector instruction sets: included by each attention.cc after
// attention_simd.inc.h.

// What the cache keeps of a value.
QUIPU_INLINE F kept(F x, float limit) { return min(max(zero_nan(x), all(-limit)), all(limit)); }

constexpr float kHalfMax = 65504.0f;

// Rows are rounded into a buffer of 64 dimensions first, then turned 8 x 8.
QUIPU_INLINE void transpose_8x8(const uint16_t* from, int ld, uint16_t* to) {
  __m128i r[8], a[8], b[8];
  for (int i = 0; i < 8; ++i) r[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * ld));
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = _mm_unpacklo_epi16(r[2 * i], r[2 * i + 1]);
    a[2 * i + 1] = _mm_unpackhi_epi16(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    for (int h = 0; h < 2; ++h) {
      b[4 * i + 2 * h] = _mm_unpacklo_epi32(a[4 * i + h], a[4 * i + 2 + h]);
      b[4 * i + 2 * h + 1] = _mm_unpackhi_epi32(a[4 * i + h], a[4 * i + 2 + h]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (2 * i) * kColumns), _mm_unpacklo_epi64(b[i], b[4 + i]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (2 * i + 1) * kColumns),
                     _mm_unpackhi_epi64(b[i], b[4 + i]));
  }
}

void store_k_half(uint16_t* head, const float* x, int64_t ldx, int dim, int lane, int n) {
  alignas(64) uint16_t rows[kColumns][kColumns];
  for (int d = 0; d < dim; d += kColumns) {
    for (int i = 0; i < n; ++i)
      for (int v = 0; v < kColumns; v += kN)
        store_half(&rows[i][v], kept(load(x + i * ldx + d + v), kHalfMax));
    uint16_t* to = head + static_cast<int64_t>(d) * kColumns + lane;
    int i = 0;
    for (; i + 8 <= n; i += 8)
      for (int j = 0; j < kColumns; j += 8) transpose_8x8(&rows[i][j], kColumns, to + j * kColumns + i);
    for (; i < n; ++i)
      for (int j = 0; j < kColumns; ++j) to[j * kColumns + i] = rows[i][j];
  }
}

void store_k_float(float* head, const float* x, int64_t ldx, int dim, int lane, int n) {
  alignas(64) float row[kColumns];
  for (int i = 0; i < n; ++i) {
    for (int d = 0; d < dim; d += kColumns) {
      for (int v = 0; v < kColumns; v += kN) store(row + v, kept(load(x + i * ldx + d + v), kFloatMax));
      float* to = head + static_cast<int64_t>(d) * kColumns + lane + i;
      for (int j = 0; j < kColumns; ++j) to[j * kColumns] = row[j];
    }
  }
}

void store_k(std::byte* head, bool half, const float* x, int64_t ldx, int dim, int lane, int n) {
  if (half)
    store_k_half(reinterpret_cast<uint16_t*>(head), x, ldx, dim, lane, n);
  else
    store_k_float(reinterpret_cast<float*>(head), x, ldx, dim, lane, n);
}

void store_v(std::byte* head, bool half, const float* x, int64_t ldx, int dim, int lane, int n) {
  for (int i = 0; i < n; ++i) {
    for (int d = 0; d < dim; d += kColumns) {
      const int64_t at = static_cast<int64_t>(d) * kColumns + (lane + i) * kColumns;
      for (int v = 0; v < kColumns; v += kN) {
        const F value = load(x + i * ldx + d + v);
        if (half)
          store_half(reinterpret_cast<uint16_t*>(head) + at + v, kept(value, kHalfMax));
        else
          store(reinterpret_cast<float*>(head) + at + v, kept(value, kFloatMax));
      }
    }
  }
}

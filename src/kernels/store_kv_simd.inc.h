// The writing side of the KV cache for the vector instruction sets: included by each attention.cc after
// attention_simd.inc.h.

// What the cache keeps of a value.
QUIPU_INLINE F kept(F x, float limit) { return min(max(zero_nan(x), all(-limit)), all(limit)); }

constexpr float kHalfMax = 65504.0f, kBf16Max = 0x1.fep127f;

QUIPU_INLINE void store_16_bits(uint16_t* to, bool is_half, F x) {
  if (is_half)
    store_half(to, kept(x, kHalfMax));
  else
    store_bf16(to, kept(x, kBf16Max));
}

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

void store_k_16_bits(uint16_t* head, bool is_half, const float* x, int64_t ldx, int dim, int lane, int n) {
  alignas(64) uint16_t rows[kColumns][kColumns];
  for (int d = 0; d < dim; d += kColumns) {
    for (int i = 0; i < n; ++i)
      for (int v = 0; v < kColumns; v += kN) store_16_bits(&rows[i][v], is_half, load(x + i * ldx + d + v));
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

// Rounding is the same code for all instruction sets; that of a block of new tokens is little work.
void store_quantised(std::byte* head, KvType type, bool is_k, const float* x, int64_t ldx, int dim, int lane,
                     int n) {
  const bool is_q8 = type == KvType::kQ8_0;
  const int row_bytes = kv_row_bytes(type);
  uint8_t q[kColumns];
  for (int d = 0; d < dim; d += kColumns, head += kColumns * kv_bytes_per_32(type)) {
    uint8_t* const rows = reinterpret_cast<uint8_t*>(head) + kv_scale_bytes(type);
    for (int i = 0; i < n; ++i) {
      const int token = lane + i;
      const float* from = x + i * ldx + d;
      reinterpret_cast<uint16_t*>(head)[token] = is_q8 ? kv_round_q8(from, q) : kv_round_q4(from, q);
      if (is_k && is_q8) {
        for (int j = 0; j < kColumns; ++j) rows[j * row_bytes + token] = q[j];
      } else if (is_k) {  // the other half of the byte is another token's
        const int shift = token < 16 ? 0 : 4, keep = 0xF0 >> shift;
        for (int j = 0; j < kColumns; ++j) {
          uint8_t* at = rows + j * row_bytes + token % 16;
          *at = static_cast<uint8_t>((*at & keep) | q[j] << shift);
        }
      } else if (is_q8) {
        for (int j = 0; j < kColumns; ++j) rows[token * row_bytes + j] = q[j];
      } else {
        for (int j = 0; j < 16; ++j)
          rows[token * row_bytes + j] = static_cast<uint8_t>(q[j] | q[j + 16] << 4);
      }
    }
  }
}

void store_k(std::byte* head, KvType type, const float* x, int64_t ldx, int dim, int lane, int n) {
  if (kv_is_quantised(type))
    store_quantised(head, type, true, x, ldx, dim, lane, n);
  else if (type == KvType::kF32)
    store_k_float(reinterpret_cast<float*>(head), x, ldx, dim, lane, n);
  else
    store_k_16_bits(reinterpret_cast<uint16_t*>(head), type == KvType::kF16, x, ldx, dim, lane, n);
}

void store_v(std::byte* head, KvType type, const float* x, int64_t ldx, int dim, int lane, int n) {
  if (kv_is_quantised(type)) return store_quantised(head, type, false, x, ldx, dim, lane, n);
  for (int i = 0; i < n; ++i) {
    for (int d = 0; d < dim; d += kColumns) {
      const int64_t at = static_cast<int64_t>(d) * kColumns + (lane + i) * kColumns;
      for (int v = 0; v < kColumns; v += kN) {
        const F value = load(x + i * ldx + d + v);
        if (type == KvType::kF32)
          store(reinterpret_cast<float*>(head) + at + v, kept(value, kFloatMax));
        else
          store_16_bits(reinterpret_cast<uint16_t*>(head) + at + v, type == KvType::kF16, value);
      }
    }
  }
}

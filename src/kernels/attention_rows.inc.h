// K and V as attention reads them: rows of a group (kv_type.h) as vectors of floats, and products with them.
// Included by each vector instruction set after its float_vector.h, inside its namespace's unnamed namespace.

constexpr int kColumns = 32;
constexpr int kRowVectors = kColumns / kN;

// The types of the cache: how a row of a group is widened to floats, before its scale.
template <KvType kStored>
struct Rows {
  static constexpr int kRowBytes = kv_row_bytes(kStored);
  static constexpr int kScaleBytes = kv_scale_bytes(kStored);
  static constexpr int kGroupBytes = kColumns * kv_bytes_per_32(kStored);
  static constexpr bool kScaled = kv_is_quantised(kStored);

  QUIPU_INLINE static F get(const std::byte* row, int column) {
    if constexpr (kStored == KvType::kF16) return load_half(row + 2 * column);
    if constexpr (kStored == KvType::kF32) return load(reinterpret_cast<const float*>(row) + column);
    if constexpr (kStored == KvType::kBf16) return load_bf16(row + 2 * column);
    if constexpr (kStored == KvType::kQ8_0) return load_int8(row + column);
    if constexpr (kStored == KvType::kQ4_0) return load_nibbles(row, column);
  }
};
using Float = Rows<KvType::kF32>;

// The scales of a group: of its columns (K) or of its rows (V).
template <class B, bool kOfColumns, int V>
struct Scales {
  QUIPU_INLINE Scales(const std::byte*, int) {}
  QUIPU_INLINE F apply(F x, int, int) const { return x; }
};
template <class B, int V>
  requires B::kScaled
struct Scales<B, true, V> {
  F s[V];
  QUIPU_INLINE Scales(const std::byte* group, int column) {
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) s[v] = load_half(group + 2 * (column + v * kN));
  }
  QUIPU_INLINE F apply(F x, int, int v) const { return mul(x, s[v]); }
};
template <class B, int V>
  requires B::kScaled
struct Scales<B, false, V> {
  // No register is left for one: they are kept as whole vectors. (AVX-512 has no such tile, nor mul_kept.)
  static constexpr bool kKept = V > kTileVectors;
  static constexpr int kStride = kKept ? kN : 1;
  float s[kColumns * kStride];
  QUIPU_INLINE Scales(const std::byte* group, int) {
    float of_rows[kColumns];
    float* const to = kKept ? of_rows : s;
#pragma GCC unroll 16
    for (int i = 0; i < kColumns; i += kN) store(to + i, load_half(group + 2 * i));
    if constexpr (kKept)
      for (int i = 0; i < kColumns; ++i) store(s + i * kStride, broadcast(of_rows + i));
  }
  QUIPU_INLINE F apply(F x, int row, int) const {
    if constexpr (kKept) return mul_kept(x, s + row * kStride);
    return mul(x, broadcast(s + row));
  }
};

// Into L2: a block of one head is 128 lines, far more than L1 can wait for at once, and the misses that do
// not fit stop the loads behind them. With L2 as the target decode at a depth of 4,096 reads 65 % faster
// (attention_bench).
QUIPU_INLINE void prefetch(const std::byte* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
}

// Row k's share of the next group. Of small types two rows can share a line: to ask for it twice is cheaper
// than to find out.
template <class B>
QUIPU_INLINE void prefetch_row(const std::byte* next, int k) {
  constexpr int kShare = B::kGroupBytes / kColumns, kLines = (kShare + 63) / 64;
  for (int i = 0; i < kLines; ++i) prefetch(next + k * kShare + i * kShare / kLines);
}

// acc[Q][V] += a[k][q] * B[k][first column ..] over the 32 rows k of a group; a(k, q) is the address of a
// float.
template <int Q, int V, class B, bool kOfColumns, bool kPrefetch, class Address>
QUIPU_INLINE void multiply(F (&acc)[Q][V], const std::byte* group, int column, const std::byte* next,
                           Address address) {
  const Scales<B, kOfColumns, V> scales(group, column);
#pragma GCC unroll 2
  for (int k = 0; k < kColumns; ++k) {
    const std::byte* row = group + B::kScaleBytes + k * B::kRowBytes;
    if constexpr (kPrefetch) prefetch_row<B>(next, k);
    if constexpr (V > kTileVectors) {  // few queries: their broadcasts stay, B passes by
      F a[Q];
#pragma GCC unroll 16
      for (int q = 0; q < Q; ++q) a[q] = broadcast(address(k, q));
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) {
        const F x = scales.apply(B::get(row, column + v * kN), k, v);
#pragma GCC unroll 16
        for (int q = 0; q < Q; ++q) acc[q][v] = fma(a[q], x, acc[q][v]);
      }
    } else {
      F x[V];
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) x[v] = scales.apply(B::get(row, column + v * kN), k, v);
#pragma GCC unroll 16
      for (int q = 0; q < Q; ++q) {
        const F a = broadcast(address(k, q));
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) acc[q][v] = fma(a, x[v], acc[q][v]);
      }
    }
  }
}

// Widens one head of `dim` dimensions to float.
template <class B, bool kIsK>
void widen_as(const std::byte* head, int dim, float* to) {
  for (int d = 0; d < dim; d += kColumns, head += B::kGroupBytes) {
    const Scales<B, kIsK, kRowVectors> scales(head, 0);
    for (int k = 0; k < kColumns; ++k, to += kColumns) {
      const std::byte* row = head + B::kScaleBytes + k * B::kRowBytes;
#pragma GCC unroll 16
      for (int v = 0; v < kRowVectors; ++v) store(to + v * kN, scales.apply(B::get(row, v * kN), k, v));
    }
  }
}

template <bool kIsK>
void widen(const std::byte* head, KvType type, int dim, float* to) {
  switch (type) {
    case KvType::kF16:
      return widen_as<Rows<KvType::kF16>, kIsK>(head, dim, to);
    case KvType::kF32:
      return widen_as<Rows<KvType::kF32>, kIsK>(head, dim, to);
    case KvType::kBf16:
      return widen_as<Rows<KvType::kBf16>, kIsK>(head, dim, to);
    case KvType::kQ8_0:
      return widen_as<Rows<KvType::kQ8_0>, kIsK>(head, dim, to);
    case KvType::kQ4_0:
      return widen_as<Rows<KvType::kQ4_0>, kIsK>(head, dim, to);
  }
}

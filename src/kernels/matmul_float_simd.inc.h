// The body of matmul_float.cc of the vector instruction sets: included once by each, after its
// float_vector.h, inside its namespace's unnamed namespace. kBatchRows x kBatchTokens is the register tile of
// 16 lanes, kRowTokens the tokens that meet a single row in all 32 lanes. Element k is in lane k mod 32; rows
// that end inside 32 lanes go on with zeros.

#define QUIPU_UNROLL _Pragma("GCC unroll 16")

constexpr int kVectors = kLanes / kN, kHalfVectors = kVectors / 2;

struct F32 {
  static constexpr int kBytes = 4;
  static QUIPU_INLINE F at(const uint8_t* w) { return load(reinterpret_cast<const float*>(w)); }
};
struct F16 {
  static constexpr int kBytes = 2;
  static QUIPU_INLINE F at(const uint8_t* w) { return load_half(w); }
};
struct BF16 {
  static constexpr int kBytes = 2;
  static QUIPU_INLINE F at(const uint8_t* w) { return load_bf16(w); }
};

// The last, incomplete 32 elements of a row.
template <class W>
struct Tail {
  alignas(64) uint8_t bytes[kLanes * W::kBytes] = {};
  Tail(const uint8_t* w, int64_t n) { __builtin_memcpy(bytes, w, static_cast<size_t>(n) * W::kBytes); }
};

// One row by T tokens, x rows `ldx` apart; all 32 lanes at once, so weights are read strictly in order.
template <class W, int T>
QUIPU_INLINE void add_32(F (&sums)[T][kVectors], const uint8_t* w, const float* x, int64_t ldx) {
  QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) {
    const F a = W::at(w + v * kN * W::kBytes);
    QUIPU_UNROLL for (int t = 0; t < T; ++t) sums[t][v] = fma(a, load(x + t * ldx + v * kN), sums[t][v]);
  }
}
template <class W, int T>
void row_by_tokens(const uint8_t* w, int64_t n, const float* x, int64_t ldx, float* y, int64_t ldy) {
  F sums[T][kVectors];
  QUIPU_UNROLL for (int t = 0; t < T; ++t) QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) sums[t][v] =
      zero();
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) add_32<W, T>(sums, w + k * W::kBytes, x + k, ldx);
  if (k < n) {
    const Tail<W> tail(w + k * W::kBytes, n - k);
    add_32<W, T>(sums, tail.bytes, x + k, ldx);
  }
  F folded[T];
  QUIPU_UNROLL for (int t = 0; t < T; ++t) folded[t] = fold_32(sums[t], Add{});
  float out[kN];
  store(out, reduce_rows<T>(folded, Add{}));
  for (int t = 0; t < T; ++t) y[t * ldy] = out[t];
}
template <class W, int T>
void row_by_up_to(int64_t n_tokens, const uint8_t* w, int64_t n, const float* x, int64_t ldx, float* y,
                  int64_t ldy) {
  if constexpr (T > 1) {
    if (n_tokens < T) return row_by_up_to<W, T - 1>(n_tokens, w, n, x, ldx, y, ldy);
  }
  row_by_tokens<W, T>(w, n, x, ldx, y, ldy);
}

template <class W>
void rows_in_order(const RowsJob& job, int64_t row0, int64_t row1) {
  const auto* x = reinterpret_cast<const float*>(job.acts);
  const int64_t ldx = padded_cols(job.n_cols);
  for (int64_t r = row0; r < row1; ++r)
    for (int64_t t = 0; t < job.n_tokens; t += kRowTokens)
      row_by_up_to<W, kRowTokens>(job.n_tokens - t, job.w + static_cast<size_t>(r) * job.row_bytes,
                                  job.n_cols, x + t * ldx, ldx, job.y + t * job.ldy + r, job.ldy);
}

// Sums of 16 lanes of kGroupRows rows by kBatchTokens tokens.
struct Sums {
  alignas(64) float lane[2][kGroupRows][kBatchTokens][kLanes / 2];
};

// R rows by T tokens, 16 lanes (half 0 or 1) over n elements: the sums go on from where they are.
template <class W, int R, int T>
void half_tile(const uint8_t* w, size_t row_bytes, const float* x, int64_t ldx, int64_t n, int half,
               bool first, float (*lane)[kBatchTokens][kLanes / 2]) {
  F sums[R][T][kHalfVectors];
  QUIPU_UNROLL for (int r = 0; r < R; ++r) QUIPU_UNROLL for (int t = 0; t < T; ++t)
      QUIPU_UNROLL for (int v = 0; v < kHalfVectors; ++v) sums[r][t][v] =
          first ? zero() : load(lane[r][t] + v * kN);
  const auto step = [&](const uint8_t* row, size_t stride, const float* acts) QUIPU_INLINE_LAMBDA {
    F a[R][kHalfVectors];
    QUIPU_UNROLL for (int r = 0; r < R; ++r) QUIPU_UNROLL for (int v = 0; v < kHalfVectors; ++v) a[r][v] =
        W::at(row + static_cast<size_t>(r) * stride + v * kN * W::kBytes);
    QUIPU_UNROLL for (int t = 0; t < T; ++t) QUIPU_UNROLL for (int v = 0; v < kHalfVectors; ++v) {
      const F b = load(acts + t * ldx + v * kN);
      QUIPU_UNROLL for (int r = 0; r < R; ++r) sums[r][t][v] = fma(a[r][v], b, sums[r][t][v]);
    }
  };
  const int64_t skip = half * kLanes / 2;
  int64_t k = 0;
#pragma GCC unroll 1
  for (; k + kLanes <= n; k += kLanes) step(w + (k + skip) * W::kBytes, row_bytes, x + k + skip);
  if (k < n) {
    alignas(64) uint8_t tails[R][kLanes * W::kBytes] = {};
    for (int r = 0; r < R; ++r)
      __builtin_memcpy(tails[r], w + static_cast<size_t>(r) * row_bytes + k * W::kBytes,
                       static_cast<size_t>((n - k) * W::kBytes));
    step(tails[0] + skip * W::kBytes, kLanes * W::kBytes, x + k + skip);
  }
  QUIPU_UNROLL for (int r = 0; r < R; ++r) QUIPU_UNROLL for (int t = 0; t < T; ++t)
      QUIPU_UNROLL for (int v = 0; v < kHalfVectors; ++v) store(lane[r][t] + v * kN, sums[r][t][v]);
}
template <class W, int T>
void half_tile_rows(int64_t rows, const uint8_t* w, size_t row_bytes, const float* x, int64_t ldx, int64_t n,
                    int half, bool first, float (*lane)[kBatchTokens][kLanes / 2]) {
  int64_t r = 0;
  for (; r + kBatchRows <= rows; r += kBatchRows)
    half_tile<W, kBatchRows, T>(w + static_cast<size_t>(r) * row_bytes, row_bytes, x, ldx, n, half, first,
                                lane + r);
  for (; r < rows; ++r)
    half_tile<W, 1, T>(w + static_cast<size_t>(r) * row_bytes, row_bytes, x, ldx, n, half, first, lane + r);
}

// Only half of the lines of x take part in a pass over 16 lanes, so that kBatchTokens tokens of this many
// elements stay in L1 while all rows of a group go by.
constexpr int64_t kBatchElems = 2048;

template <class W>
void rows_in_tiles(const RowsJob& job, int64_t row0, int64_t row1) {
  const auto* x = reinterpret_cast<const float*>(job.acts);
  const int64_t ldx = padded_cols(job.n_cols);
  Sums& sums = *reinterpret_cast<Sums*>(job.scratch);
  for (int64_t row = row0; row < row1; row += kGroupRows) {
    const int64_t rows = row1 - row < kGroupRows ? row1 - row : kGroupRows;
    for (int64_t token = 0; token < job.n_tokens; token += kBatchTokens) {
      const int64_t tokens = job.n_tokens - token < kBatchTokens ? job.n_tokens - token : kBatchTokens;
      for (int64_t k = 0; k < job.n_cols; k += kBatchElems) {
        const int64_t n = job.n_cols - k < kBatchElems ? job.n_cols - k : kBatchElems;
        const uint8_t* w = job.w + static_cast<size_t>(row) * job.row_bytes + k * W::kBytes;
        for (int half = 0; half < 2; ++half) {
          if (tokens == kBatchTokens) {
            half_tile_rows<W, kBatchTokens>(rows, w, job.row_bytes, x + token * ldx + k, ldx, n, half, k == 0,
                                            sums.lane[half]);
          } else {
            for (int64_t t = 0; t < tokens; ++t)
              half_tile_rows<W, 1>(
                  rows, w, job.row_bytes, x + (token + t) * ldx + k, ldx, n, half, k == 0,
                  reinterpret_cast<float(*)[kBatchTokens][kLanes / 2]>(&sums.lane[half][0][t]));
          }
        }
      }
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t r = 0; r < rows; ++r) {
          F v[kVectors];
          QUIPU_UNROLL for (int i = 0; i < kVectors; ++i) v[i] =
              load(sums.lane[i / kHalfVectors][r][t] + i % kHalfVectors * kN);
          F folded[1] = {fold_32(v, Add{})};
          float out[kN];
          store(out, reduce_rows<1>(folded, Add{}));
          job.y[(token + t) * job.ldy + row + r] = out[0];
        }
      }
    }
  }
}

// Few tokens leave the speed to memory, which wants one row after the other.
constexpr int64_t kTileTokens = 12;

template <class W>
void batch_rows(const RowsJob& job, int64_t row0, int64_t row1) {
  (job.n_tokens < kTileTokens ? rows_in_order<W> : rows_in_tiles<W>)(job, row0, row1);
}

float dot_of(const float* a, const float* b, int64_t n) {
  F sums[1][kVectors];
  QUIPU_UNROLL for (int v = 0; v < kVectors; ++v) sums[0][v] = zero();
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes)
    add_32<F32, 1>(sums, reinterpret_cast<const uint8_t*>(a + k), b + k, 0);
  if (k < n) {
    const Tail<F32> tail(reinterpret_cast<const uint8_t*>(a + k), n - k),
        x(reinterpret_cast<const uint8_t*>(b + k), n - k);
    add_32<F32, 1>(sums, tail.bytes, reinterpret_cast<const float*>(x.bytes), 0);
  }
  F folded[1] = {fold_32(sums[0], Add{})};
  float out[kN];
  store(out, reduce_rows<1>(folded, Add{}));
  return out[0];
}

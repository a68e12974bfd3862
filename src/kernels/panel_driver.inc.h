// Batches of quantised weights, the common frame; included inside the unnamed namespace of each vector
// instruction set.
//
// For a group of rows and 256 elements of K, the weights are unpacked into a panel in L1 (Kernel::pack) and
// meet all tokens, a register tile of tokens at a time (Kernel::tile). The float sums wait in scratch for the
// next 256 elements, so that the order of additions does not depend on tiles or chunks.
//
// Kernel: Panel, Record, kBytes (of a block), kElems, kRows (of a group; two vectors of lanes), kTokens (of a
// tile),
//   pack(Panel&, const uint8_t* const rows[2], size_t row_bytes, int64_t units)   first rows of the two
//   vectors tile<T>(const Panel&, const Record*, float* sums, int64_t units, Prefetch&)   sums [T][kRows]

template <class Kernel, int T>
void run_tile(int64_t n, const typename Kernel::Panel& panel, const typename Kernel::Record* acts,
              float* sums, int64_t units, Prefetch& ahead) {
  if constexpr (T == 1) {
    Kernel::template tile<1>(panel, acts, sums, units, ahead);
  } else {
    if (n == T) return Kernel::template tile<T>(panel, acts, sums, units, ahead);
    run_tile<Kernel, T - 1>(n, panel, acts, sums, units, ahead);
  }
}

template <class Kernel>
void panel_rows(const RowsJob& job, int64_t row0, int64_t row1) {
  constexpr int64_t kRows = Kernel::kRows, kHalf = kRows / 2, kTokens = Kernel::kTokens,
                    kUnits = kRun / Kernel::kElems;
  static_assert(kGroupRows % kRows == 0);
  using Panel = typename Kernel::Panel;
  const int64_t units = job.n_cols / Kernel::kElems;
  const auto* acts = reinterpret_cast<const typename Kernel::Record*>(job.acts);
  auto* panel = reinterpret_cast<Panel*>(job.scratch);
  auto* sums = reinterpret_cast<float*>(job.scratch + (sizeof(Panel) + 63) / 64 * 64);
  for (int64_t token0 = 0; token0 < job.n_tokens; token0 += kChunkTokens) {
    const int64_t tokens = job.n_tokens - token0 < kChunkTokens ? job.n_tokens - token0 : kChunkTokens;
    const int64_t tiles = (tokens + kTokens - 1) / kTokens;
    for (int64_t row = row0; row < row1; row += kRows) {
      // A group that is not full takes rows before it as well, and drops their results.
      int64_t first[2];
      const uint8_t* w[2];
      for (int i = 0; i < 2; ++i) {
        first[i] = row + i * kHalf < job.n_rows - kHalf ? row + i * kHalf : job.n_rows - kHalf;
        w[i] = job.w + static_cast<size_t>(first[i]) * job.row_bytes;
      }
      Prefetch ahead;
      if (tokens <= kPrefetchTokens && row + kRows < job.n_rows) {
        const int64_t rest = job.n_rows - row - kRows;
        ahead.at = job.w + static_cast<size_t>(row + kRows) * job.row_bytes;
        ahead.lines = static_cast<int64_t>(job.row_bytes) * (rest < kRows ? rest : kRows) / 64;
        ahead.per_step = ahead.lines / (units * Kernel::kSteps * tiles) + 1;
      }
      __builtin_memset(sums, 0, static_cast<size_t>(tokens * kRows) * sizeof(float));
      for (int64_t unit = 0; unit < units; unit += kUnits) {
        const int64_t n_units = units - unit < kUnits ? units - unit : kUnits;
        const uint8_t* const at[2] = {w[0] + unit * Kernel::kBytes, w[1] + unit * Kernel::kBytes};
        Kernel::pack(*panel, at, job.row_bytes, n_units);
        const auto* records = acts + unit / kUnits * job.n_tokens + token0;
        for (int64_t i = 0, t = 0; i < tiles; ++i) {  // tiles of nearly equal size
          const int64_t n = (tokens - t + tiles - i - 1) / (tiles - i);
          run_tile<Kernel, Kernel::kTokens>(n, *panel, records + t, sums + t * kRows, n_units, ahead);
          t += n;
        }
      }
      for (int64_t t = 0; t < tokens; ++t) {
        float* y = job.y + (token0 + t) * job.ldy;
        const float* from = sums + t * kRows;
        for (int i = 0; i < 2; ++i) {
          const int64_t begin = row + i * kHalf, end = begin + kHalf < row1 ? begin + kHalf : row1;
          if (first[i] == begin && begin + kHalf <= row1)
            __builtin_memcpy(y + begin, from + i * kHalf, kHalf * sizeof(float));
          else
            for (int64_t r = begin; r < end; ++r) y[r] = from[i * kHalf + r - first[i]];
        }
      }
    }
  }
}

// Matrices of fewer rows than a stream or half a group has take the scalar way.
template <RowsFunction kFunction, Format kFormat>
void rows_or_scalar(const RowsJob& job, int64_t row0, int64_t row1) {
  if (job.n_rows < kStreamRows)
    (job.n_tokens == 1 ? scalar::kMatmul.decode : scalar::kMatmul.batch)[kFormat](job, row0, row1);
  else
    kFunction(job, row0, row1);
}

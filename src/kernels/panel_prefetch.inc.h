// Included inside the unnamed namespace of each vector instruction set.

// Small batches are bound by memory, and a group of rows read side by side gets half of what a linear read
// gets. So while a group is computed, the next one is fetched in file order into L2, a few lines per step of
// the computation.
struct Prefetch {
  const uint8_t* at = nullptr;
  int64_t lines = 0;     // left to fetch
  int64_t per_step = 0;  // lines
  QUIPU_INLINE void step() {
    const int64_t n = per_step < lines ? per_step : lines;
    for (int64_t i = 0; i < n; ++i) _mm_prefetch(reinterpret_cast<const char*>(at + 64 * i), _MM_HINT_T1);
    at += 64 * n;
    lines -= n;
  }
};
// Above this many tokens the computation takes far longer than reading.
constexpr int64_t kPrefetchTokens = 48;

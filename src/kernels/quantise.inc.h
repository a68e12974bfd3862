// Quantising activations: included by the matmul files of each instruction set, inside its unnamed namespace,
// after
//   float quantise_unit(const float* x, int n, int8_t* q, int32_t* pairs)
// which writes n (32 or 256) int8 values, per 16 of them an int16 pair (sum of elements 0, 1 mod 4; of 2, 3
// mod 4), and returns the scale. kPairStart says which of the two forms Record256::start takes.

inline int low_sum(int32_t pair) { return static_cast<int16_t>(pair); }
inline int high_sum(int32_t pair) { return static_cast<int16_t>(pair >> 16); }
inline int both_sums(int32_t pair) { return low_sum(pair) + high_sum(pair); }
inline int32_t pack_pair(int low, int high) {
  return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xffff) | static_cast<uint32_t>(high) << 16);
}

// sums: per 32 elements.
inline void write_pair_sums(const int* sums, int32_t* out, int64_t stride) {
  out[0] = pack_pair(sums[0], sums[2]);
  out[stride] = pack_pair(sums[1], sums[3]);
  out[2 * stride] = pack_pair(sums[4], sums[6]);
  out[3 * stride] = pack_pair(sums[5], sums[7]);
}

inline void write_record(const float* x, Record256& r) {
  int32_t pairs[16];
  int sums[8];
  r.scale = quantise_unit(x, 256, r.q, pairs);
  for (int g = 0; g < 16; ++g) {
    r.sums16[g] = static_cast<int16_t>(both_sums(pairs[g]));
    r.start[g] =
        kPairStart ? pack_pair(-32 * low_sum(pairs[g]), -32 * high_sum(pairs[g])) : -32 * both_sums(pairs[g]);
  }
  for (int g = 0; g < 8; ++g) sums[g] = both_sums(pairs[2 * g]) + both_sums(pairs[2 * g + 1]);
  write_pair_sums(sums, r.pair_sums, 1);
}

inline void write_decode_unit(const float* x, const Decode256& d, int64_t u) {
  int32_t pairs[16];
  int sums[8];
  int8_t* q = d.q + 256 * u;
  d.scale[u] = quantise_unit(x, 256, q, pairs);
  for (int g = 0; g < 16; ++g) d.minus_sums16[16 * u + g] = static_cast<int16_t>(-both_sums(pairs[g]));
  for (int g = 0; g < 8; ++g) sums[g] = both_sums(pairs[2 * g]) + both_sums(pairs[2 * g + 1]);
  write_pair_sums(sums, d.pair_sums + u, d.entries);
  constexpr int kOrder[8] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (int g = 0; g < 8; ++g) __builtin_memcpy(d.q_paired + 256 * u + 32 * g, q + 32 * kOrder[g], 32);
}

void quantise_256(const float* x, int64_t n_cols, int64_t n_tokens, int64_t token, std::byte* acts) {
  const int64_t units = n_cols / 256;
  if (n_tokens > 1) {
    auto* records = reinterpret_cast<Record256*>(acts) + token;
    for (int64_t u = 0; u < units; ++u) write_record(x + 256 * u, records[u * n_tokens]);
    return;
  }
  Carver carver{acts};
  const Decode256 d = carve_decode_256(carver, n_cols);
  for (int64_t u = 0; u < units; ++u) write_decode_unit(x + 256 * u, d, u);
  for (int64_t to = units; to < d.entries; ++to) {
    const int64_t from = to - units;
    d.scale[to] = d.scale[from];
    for (int i = 0; i < 4; ++i) d.pair_sums[i * d.entries + to] = d.pair_sums[i * d.entries + from];
    __builtin_memcpy(d.minus_sums16 + 16 * to, d.minus_sums16 + 16 * from, 32);
    __builtin_memcpy(d.q + 256 * to, d.q + 256 * from, 256);
    __builtin_memcpy(d.q_paired + 256 * to, d.q_paired + 256 * from, 256);
  }
}

void quantise_32(const float* x, int64_t n_cols, int64_t n_tokens, int64_t token, std::byte* acts) {
  const int64_t units = n_cols / 32;
  if (n_tokens > 1) {
    auto* records = reinterpret_cast<Record32*>(acts) + token;
    for (int64_t u = 0; u < (units + 7) / 8 * 8; ++u) {
      Record32& r = records[u / 8 * n_tokens];
      const int64_t b = u % 8;
      int32_t pairs[2] = {};
      if (u < units) {
        r.scale[b] = quantise_unit(x + 32 * u, 32, r.q + 32 * b, pairs);
      } else {
        r.scale[b] = 0;
        __builtin_memset(r.q + 32 * b, 0, 32);
      }
      const int sum = both_sums(pairs[0]) + both_sums(pairs[1]);
      r.sum[b] = static_cast<float>(sum);
      r.minus8[b] = -8 * sum;
      r.minus128[b] = -128 * sum;
    }
    return;
  }
  Carver carver{acts};
  const Decode32 d = carve_decode_32(carver, n_cols);
  for (int64_t u = 0; u < units; ++u) {
    int32_t pairs[2];
    d.scale[u] = quantise_unit(x + 32 * u, 32, d.q + 32 * u, pairs);
    const int sum = both_sums(pairs[0]) + both_sums(pairs[1]);
    d.sum[u] = static_cast<float>(sum);
    d.minus8[u] = -8 * sum;
    d.minus128[u] = -128 * sum;
  }
  for (int64_t to = units; to < d.entries; ++to) {
    const int64_t from = to - units;
    d.scale[to] = d.scale[from];
    d.sum[to] = d.sum[from];
    d.minus8[to] = d.minus8[from];
    d.minus128[to] = d.minus128[from];
    __builtin_memcpy(d.q + 32 * to, d.q + 32 * from, 32);
  }
  for (int64_t u = 0; u < d.entries; ++u) {
    const int8_t *q = d.q + 32 * u, *fourth = d.q + 32 * ((u + 4) % units);
    __builtin_memcpy(d.first + 32 * u, q, 16);
    __builtin_memcpy(d.first + 32 * u + 16, fourth, 16);
    __builtin_memcpy(d.second + 32 * u, q + 16, 16);
    __builtin_memcpy(d.second + 32 * u + 16, fourth + 16, 16);
  }
}

// What matmul.cc and the instruction sets agree on: how prepared activations lie in memory, and the table of
// functions. Plain C types and unnamed-namespace helpers only: the files that include this are compiled with
// wider instructions than the rest and must not bring inline functions of other headers into the program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quipu::kernels {

enum Format {
  kFormatF32,
  kFormatF16,
  kFormatBF16,
  kFormatQ4_0,
  kFormatQ4_1,
  kFormatQ8_0,
  kFormatQ4_K,
  kFormatQ6_K,
  kFormats
};

inline constexpr int kRun = 256;       // elements of a record; a panel of repacked weights is as long
inline constexpr int kLanes = 32;      // float weights: lanes of the canonical sum
inline constexpr int kGroupRows = 32;  // rows that share a repacked panel, at most
inline constexpr int kChunkTokens =
    256;  // tokens that pass over a panel before it is repacked: a whole engine step
inline constexpr int kStreamRows = 16;  // decode: rows whose blocks form one linear stream

// Activations of two and more tokens: one record per token and run, in the order [run][token], so that a
// register tile of neighbouring tokens reads one contiguous piece. Six cache lines; Q4_K touches five of
// them.
struct alignas(64) Record256 {  // kInt8Per256
  int8_t q[kRun];
  float scale;
  int32_t pair_sums[4];  // sums per 32 elements as int16 pairs: groups (0,2) (1,3) (4,6) (5,7)
  int16_t sums16[16];    // sums per 16 elements
  int32_t unused[3];
  // Q6_K stores q + 32; a group's accumulator therefore starts at -32 times the sum of its 16 activations.
  // AVX-512: that number. AVX2: an int16 pair, for elements 0, 1 and 2, 3 (mod 4). Records are read by the
  // set that wrote them.
  int32_t start[16];
};
struct alignas(64) Record32 {  // kInt8Per32: eight blocks; those after the end of a row are zero
  int8_t q[kRun];
  float scale[8];
  float sum[8];         // sum of the block, Q4_1
  int32_t minus8[8];    // -8 * sum: Q4_0 stores q + 8
  int32_t minus128[8];  // -128 * sum: Q8_0 is made unsigned by adding 128
};

// Activations of a single token: arrays over the blocks of a row, continued cyclically for kAhead more
// blocks. Decode walks through eight blocks at a time, also across row ends, and finds what belongs to them
// contiguous.
inline constexpr int kAhead = 8;

struct Decode256 {
  int64_t units, entries;  // blocks of a row; with the continuation
  float* scale;            // [entries]
  int32_t* pair_sums;      // [4][entries], pairs as in Record256
  int16_t* minus_sums16;   // [entries][16], negative sums per 16
  int8_t* q;               // [entries][256]
  int8_t* q_paired;  // the same; 32-element groups in the order 0 2 1 3 4 6 5 7, as Q4_K's nibbles lie in 64
                     // bytes
};
struct Decode32 {
  int64_t units, entries;
  float* scale;       // [entries]
  float* sum;         // [entries]
  int32_t* minus8;    // [entries]
  int32_t* minus128;  // [entries]
  int8_t* q;          // [entries][32]
  int8_t* first;      // [entries][32]: elements 0..15 of a block and of the fourth one after it
  int8_t* second;     // likewise elements 16..31
};

// One product, or a part of its rows.
struct RowsJob {
  const uint8_t* w;
  int64_t n_rows, n_cols;
  size_t row_bytes;
  const std::byte* acts;
  int64_t n_tokens;
  float* y;
  int64_t ldy;
  std::byte* scratch;
};

// Rows [row0, row1) for all tokens; row0 is a multiple of kGroupRows, and so is row1 unless it is n_rows.
using RowsFunction = void (*)(const RowsJob& job, int64_t row0, int64_t row1);

struct MatmulTable {
  // Token `token` of n_tokens, x [n_cols].
  void (*quantise_32)(const float* x, int64_t n_cols, int64_t n_tokens, int64_t token, std::byte* acts);
  void (*quantise_256)(const float* x, int64_t n_cols, int64_t n_tokens, int64_t token, std::byte* acts);
  RowsFunction decode[kFormats];  // one token
  RowsFunction batch[kFormats];   // two and more
  float (*dot)(const float* a, const float* b, int64_t n);
};

namespace scalar {
extern const MatmulTable kMatmul;
}
namespace avx2 {
extern const MatmulTable kMatmul;
}
namespace avx512 {
extern const MatmulTable kMatmul;
}

namespace {

// Takes arrays of 64-byte aligned size from a buffer one after the other; with a null base it only counts.
struct Carver {
  std::byte* base;
  size_t used = 0;
  template <class T>
  T* take(int64_t n) {
    std::byte* p = base == nullptr ? nullptr : base + used;
    used += (static_cast<size_t>(n) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(p);
  }
};

inline Decode256 carve_decode_256(Carver& c, int64_t n_cols) {
  Decode256 d;
  d.units = n_cols / 256;
  d.entries = d.units + kAhead;
  d.scale = c.take<float>(d.entries);
  d.pair_sums = c.take<int32_t>(4 * d.entries);
  d.minus_sums16 = c.take<int16_t>(16 * d.entries);
  d.q = c.take<int8_t>(256 * d.entries);
  d.q_paired = c.take<int8_t>(256 * d.entries);
  return d;
}

inline Decode32 carve_decode_32(Carver& c, int64_t n_cols) {
  Decode32 d;
  d.units = n_cols / 32;
  d.entries = d.units + kAhead;
  d.scale = c.take<float>(d.entries);
  d.sum = c.take<float>(d.entries);
  d.minus8 = c.take<int32_t>(d.entries);
  d.minus128 = c.take<int32_t>(d.entries);
  d.q = c.take<int8_t>(32 * d.entries);
  d.first = c.take<int8_t>(32 * d.entries);
  d.second = c.take<int8_t>(32 * d.entries);
  return d;
}

inline int64_t runs_of(int64_t n_cols) { return (n_cols + kRun - 1) / kRun; }
inline int64_t padded_cols(int64_t n_cols) { return (n_cols + kLanes - 1) / kLanes * kLanes; }

}  // namespace

}  // namespace quipu::kernels

#include "kernels/matmul.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/checked.h"
#include "kernels/dispatch.h"
#include "kernels/matmul_impl.h"
#include "quant/codec.h"

namespace quipu::kernels {

namespace {

const MatmulTable& table() {
  switch (active_isa()) {
    case Isa::kAvx512:
      return avx512::kMatmul;
    case Isa::kAvx2:
      return avx2::kMatmul;
    case Isa::kScalar:
      break;
  }
  return scalar::kMatmul;
}

Format format_of(TensorType type) {
  switch (type) {
    case TensorType::kF16:
      return kFormatF16;
    case TensorType::kBF16:
      return kFormatBF16;
    case TensorType::kQ4_0:
      return kFormatQ4_0;
    case TensorType::kQ4_1:
      return kFormatQ4_1;
    case TensorType::kQ8_0:
      return kFormatQ8_0;
    case TensorType::kQ4_K:
      return kFormatQ4_K;
    case TensorType::kQ6_K:
      return kFormatQ6_K;
    case TensorType::kF32:
      break;
  }
  return kFormatF32;
}

size_t bytes_of_row(const Weights& w) { return static_cast<size_t>(row_bytes(w.type, w.n_cols).value_or(0)); }

// How the rows of several products are cut into parts for the threads. A part lies in one product and begins
// at a multiple of kGroupRows.
struct Parts {
  static constexpr size_t kMax = 16;  // products of a pass
  struct Cut {
    int64_t groups = 0;           // row groups of the product
    int64_t groups_per_part = 1;  // the last part may have fewer
    int first_part = 0;
  };
  std::array<Cut, kMax> cuts;
  int n_parts = 0;

  // `target` weight bytes a part; parts stay small enough for every thread to get several.
  Parts(std::span<const Product> products, size_t target) {
    for (size_t i = 0; i < products.size(); ++i) {
      const size_t group_bytes = std::max<size_t>(1, bytes_of_row(products[i].w) * kGroupRows);
      Cut& c = cuts[i];
      c.groups = ceil_div<int64_t>(products[i].w.n_rows, kGroupRows);
      c.groups_per_part = static_cast<int64_t>(std::max<size_t>(1, target / group_bytes));
      c.first_part = n_parts;
      n_parts += static_cast<int>(ceil_div(c.groups, c.groups_per_part));
    }
  }

  size_t product_of(int part, size_t n_products) const {
    size_t i = n_products - 1;
    while (cuts[i].first_part > part) --i;
    return i;
  }
};

}  // namespace

ActKind act_kind(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
    case TensorType::kQ8_0:
      return ActKind::kInt8Per32;
    case TensorType::kQ4_K:
    case TensorType::kQ6_K:
      return ActKind::kInt8Per256;
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      break;
  }
  return ActKind::kFloat;
}

size_t act_bytes(ActKind kind, int64_t n_cols, int64_t n_tokens) {
  if (kind == ActKind::kFloat) return static_cast<size_t>(padded_cols(n_cols) * n_tokens) * sizeof(float);
  // Never less for more tokens: one buffer serves all smaller batches, a single token's layout included.
  Carver carver{nullptr};
  if (kind == ActKind::kInt8Per32)
    carve_decode_32(carver, n_cols);
  else
    carve_decode_256(carver, n_cols);
  static_assert(sizeof(Record32) == sizeof(Record256));
  return std::max(carver.used, static_cast<size_t>(runs_of(n_cols) * n_tokens) * sizeof(Record32));
}

void prepare(ThreadPool& pool, ActKind kind, const float* x, int64_t ldx, int64_t n_cols, int64_t n_tokens,
             std::byte* acts) {
  const MatmulTable& t = table();
  const auto one = [&](int64_t token) {
    const float* row = x + token * ldx;
    if (kind == ActKind::kFloat) {
      const auto n = static_cast<size_t>(n_cols), padded = static_cast<size_t>(padded_cols(n_cols));
      float* to = reinterpret_cast<float*>(acts) + static_cast<size_t>(token) * padded;
      std::memcpy(to, row, n * sizeof(float));
      std::fill(to + n, to + padded, 0.0f);
    } else {
      (kind == ActKind::kInt8Per32 ? t.quantise_32 : t.quantise_256)(row, n_cols, n_tokens, token, acts);
    }
  };
  // About 16k values (a few microseconds) make a part worth another thread.
  const int64_t per_part = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, n_cols));
  pool.run(static_cast<int>(ceil_div(n_tokens, per_part)), [&](int part, int) {
    for (int64_t i = part * per_part, end = std::min(n_tokens, i + per_part); i < end; ++i) one(i);
  });
}

size_t matmul_scratch_bytes(int64_t max_cols) {
  const auto cols = static_cast<size_t>(padded_cols(max_cols));
  // Decode keeps one float per block for kStreamRows rows (a block has at least 32 elements) and reads up to
  // 8 beyond; batches keep a panel (at most 24 KiB, see avx512/panel.h) and sums for kChunkTokens x
  // kGroupRows outputs; float batches keep 32 lanes for kGroupRows x 6 outputs; matmul_exact() keeps one
  // decoded row.
  const size_t stream = (cols / 32 * kStreamRows + 64) * sizeof(float);
  const size_t panels = 24 * 1024 + sizeof(float) * kChunkTokens * kGroupRows;
  return round_up<size_t>(std::max({stream, panels, cols * sizeof(float)}) + 64, 64);
}

void matmul(ThreadPool& pool, std::span<const Product> products, const std::byte* acts, int64_t n_tokens,
            std::byte* scratch) {
  if (products.empty() || n_tokens <= 0) return;
  if (products.size() > Parts::kMax) {
    matmul(pool, products.first(Parts::kMax), acts, n_tokens, scratch);
    return matmul(pool, products.subspan(Parts::kMax), acts, n_tokens, scratch);
  }
  const MatmulTable& t = table();
  size_t bytes = 0;
  int64_t max_cols = 0;
  for (const Product& p : products) {
    bytes += bytes_of_row(p.w) * static_cast<size_t>(p.w.n_rows);
    max_cols = std::max(max_cols, p.w.n_cols);
  }
  // Eight parts a thread even out what one of them loses to other processes; below 64 KiB (a microsecond)
  // handing out parts costs more than it evens out, and above 1 MiB it gains nothing more.
  const size_t target =
      std::clamp<size_t>(bytes / (8 * static_cast<size_t>(pool.active())), n_tokens > 1 ? 1 : 65536, 1 << 20);
  const Parts parts(products, target);
  const size_t scratch_bytes = matmul_scratch_bytes(max_cols);
  pool.run(parts.n_parts, [&](int part, int worker) {
    const size_t i = parts.product_of(part, products.size());
    const Product& p = products[i];
    const Parts::Cut& cut = parts.cuts[i];
    const int64_t row0 = (part - cut.first_part) * cut.groups_per_part * kGroupRows;
    const int64_t row1 = std::min(p.w.n_rows, row0 + cut.groups_per_part * kGroupRows);
    const RowsJob job = {reinterpret_cast<const uint8_t*>(p.w.data),
                         p.w.n_rows,
                         p.w.n_cols,
                         bytes_of_row(p.w),
                         acts,
                         n_tokens,
                         p.y,
                         p.ldy,
                         scratch + static_cast<size_t>(worker) * scratch_bytes};
    const Format f = format_of(p.w.type);
    (n_tokens == 1 ? t.decode[f] : t.batch[f])(job, row0, row1);
  });
}

void matmul_exact(ThreadPool& pool, std::span<const Product> products, const float* x, int64_t ldx,
                  int64_t n_tokens, std::byte* scratch) {
  const MatmulTable& t = table();
  int64_t max_cols = 0;
  for (const Product& p : products) max_cols = std::max(max_cols, p.w.n_cols);
  const size_t scratch_bytes = matmul_scratch_bytes(max_cols);
  for (const Product& p : products) {
    constexpr int64_t kRows = 16;  // of a part
    pool.run(static_cast<int>(ceil_div(p.w.n_rows, kRows)), [&](int part, int worker) {
      auto* row = reinterpret_cast<float*>(scratch + static_cast<size_t>(worker) * scratch_bytes);
      for (int64_t r = part * kRows, end = std::min(p.w.n_rows, r + kRows); r < end; ++r) {
        decode_weight_row(p.w, r, row);
        for (int64_t token = 0; token < n_tokens; ++token)
          p.y[token * p.ldy + r] = t.dot(row, x + token * ldx, p.w.n_cols);
      }
    });
  }
}

void decode_weight_row(const Weights& w, int64_t row, float* dst) {
  decode_row(w.type, w.data + static_cast<size_t>(row) * bytes_of_row(w), dst, w.n_cols);
}

}  // namespace quipu::kernels

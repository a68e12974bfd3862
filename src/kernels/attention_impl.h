// What attention() needs of an instruction set. Plain C types only, as in ops_impl.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kv_type.h"

namespace quipu::kernels {

// A tile of queries of one sequence that read the same KV head: `group` query heads of consecutive rows.
// Query i is head i % group of row i / group.
struct QueryTile {
  const std::byte* const* blocks = nullptr;
  size_t k_offset = 0;  // from a block's start to K of this layer and KV head
  size_t v_offset = 0;
  int head_dim_k = 0;
  int head_dim_v = 0;
  KvType type_k = KvType::kF16;
  KvType type_v = KvType::kF16;
  int group = 1;
  int n_queries = 0;
  int64_t position0 = 0;  // of the first row
  int64_t window = 0;
};

// Running softmax of a tile's queries (maximum m, sum l, output o), and other arrays of one float or more per
// query. Queries are kept in the order and grouping of the instruction set's register tiles: opaque to the
// caller, who only knows the sizes.
struct TileState {
  float* m = nullptr;  // stat_floats(n_queries)
  float* l = nullptr;  // likewise
  float* o = nullptr;  // n_queries * head_dim_v
};

// Statistics are kept in vectors of at most 16 floats for a register tile of at least 6 queries, or for fewer
// queries.
inline constexpr int kStatFloats = 16;
inline constexpr int kLeastTileQueries = 6;
constexpr int64_t stat_floats(int64_t n_queries) {
  return (n_queries + kLeastTileQueries - 1) / kLeastTileQueries * kStatFloats;
}

struct AttentionTable {
  // q: row r, head g at q[r * ldq + g * head_dim_k]; packed: n_queries * head_dim_k floats.
  void (*pack)(const QueryTile& t, const float* q, int64_t ldq, float* packed);
  // m = -infinity, l = 0, o = 0.
  void (*clear)(const QueryTile& t, const TileState& s);
  // Takes the blocks [begin, end) into the state. work: 32 * (head_dim_k + head_dim_v) + kWorkFloats floats.
  void (*attend)(const QueryTile& t, const float* packed, int64_t begin, int64_t end, const TileState& s,
                 float* work);
  // sum = sum merged with the part that follows it.
  void (*merge)(const QueryTile& t, const TileState& sum, const TileState& part);
  // Row r, head g to out[r * ldo + g * head_dim_v].
  void (*finish)(const QueryTile& t, const TileState& s, float* out, int64_t ldo);

  // Tokens [0, n) of x (row stride ldx, dim floats each) to lanes lane .. lane + n - 1 of one head of one
  // block.
  void (*store_k)(std::byte* head, KvType type, const float* x, int64_t ldx, int dim, int lane, int n);
  void (*store_v)(std::byte* head, KvType type, const float* x, int64_t ldx, int dim, int lane, int n);
};

inline constexpr int kWorkFloats = 16 * 32 + 64;  // scores of a register tile and a few vectors

namespace scalar {
extern const AttentionTable kAttention;
}
namespace avx2 {
extern const AttentionTable kAttention;
}
namespace avx512 {
extern const AttentionTable kAttention;
}

}  // namespace quipu::kernels

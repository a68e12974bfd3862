// GGUF tensor types: ids, block shapes, sizes. Spec: gguf-and-models 2.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace quipu {

// The ids stored in GGUF files. Only the ones this build computes with are named; the others are known by
// size.
enum class TensorType : int32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ6_K = 14,
  kBF16 = 30,
};

struct TypeInfo {
  int32_t id;
  const char* name;  // as in GGUF documentation: "Q4_K"
  int block_elems;
  int block_bytes;
  bool computable;  // decode, encode and matmul exist
};

// Null for ids out of range and for removed ones.
const TypeInfo* type_info(int32_t id);
// The name that an id had once, null if it never had one: files of that time have to be converted again.
const char* removed_type_name(int32_t id);

inline const TypeInfo* type_info(TensorType t) { return type_info(static_cast<int32_t>(t)); }
inline const char* type_name(TensorType t) { return type_info(t)->name; }

// "F32, F16, Q4_0, ...": the computable ones, for error messages.
std::string_view computable_types();

// Bytes of a row of n elements; nothing if n is negative, not a multiple of the block, or the product
// overflows.
std::optional<uint64_t> row_bytes(TensorType type, int64_t n);

}  // namespace quipu

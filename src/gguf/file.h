// A GGUF file (or its split parts), memory-mapped read-only. Spec: gguf-and-models 1.
//
// open() checks everything the header claims against the real file length before anything is allocated or
// indexed. Strings, arrays and tensor data are views into the mapping: they live as long as the File. A file
// that shrinks under the map raises SIGBUS on access; guard_mappings() turns that into an error message and
// exit(1) of this process (a runner), never silence.
//
// Threads: a File is immutable after open(); share it freely.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "quant/type.h"

namespace quipu::gguf {

enum class ValueType : int32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

// An array's elements as they lie in the file (unaligned). Strings are walked in order.
class Array {
 public:
  Array() = default;
  Array(ValueType element, uint64_t count, std::span<const std::byte> bytes)
      : element_(element), count_(count), bytes_(bytes) {}

  ValueType element() const { return element_; }
  uint64_t size() const { return count_; }

  // Whole-array conversions; nothing if the element type does not fit (any integer width is accepted for
  // integers).
  std::optional<std::vector<int64_t>> as_ints() const;
  std::optional<std::vector<float>> as_floats() const;
  std::optional<std::vector<bool>> as_bools() const;
  std::optional<std::vector<std::string_view>> as_strings() const;
  std::span<const std::byte> raw() const { return bytes_; }

 private:
  ValueType element_ = ValueType::kU8;
  uint64_t count_ = 0;
  std::span<const std::byte> bytes_;
};

using Value =
    std::variant<uint64_t, int64_t, double, bool, std::string_view, Array>;  // u8..u64, i8..i64, f32/f64

struct Entry {
  std::string_view key;
  ValueType type;
  Value value;
};

struct Tensor {
  std::string_view name;
  TensorType type;               // may be a type that is not computable: check type_info(type)->computable
  std::array<int64_t, 4> shape;  // ne0 (contiguous) .. ne3; missing dimensions are 1
  int n_dims;
  std::span<const std::byte> data;  // exactly the tensor's bytes; empty if cut off (see Options)
  int64_t n_elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
};

class File {
 public:
  struct Options {
    bool require_tensor_data =
        true;  // false: a header whose data area is cut off is accepted (plans need no weights)
  };
  // The first part of a split file opens all parts; another part is an error that says so.
  static Result<std::unique_ptr<File>> open(const std::string& path);
  static Result<std::unique_ptr<File>> open(const std::string& path, Options options);
  // For tests and fuzzing: the bytes must outlive the File. No split files.
  static Result<std::unique_ptr<File>> parse(std::span<const std::byte> bytes, Options options);
  ~File();

  const std::string& path() const;         // of the first part
  std::vector<std::string> paths() const;  // of all parts, absolute where the system could tell
  std::string_view architecture() const;   // general.architecture, or "" if absent

  std::span<const Entry> entries() const;
  const Entry* find(std::string_view key) const;

  // Typed access. Absent: nullopt. Present with a type that cannot be read that way, or a value out of range:
  // an error that names the key. Any integer width is accepted for integers, i32/u32 to f32 is not.
  Result<std::optional<uint64_t>> uint(std::string_view key) const;
  Result<std::optional<int64_t>> integer(std::string_view key) const;
  Result<std::optional<double>> number(std::string_view key) const;
  Result<std::optional<bool>> boolean(std::string_view key) const;
  Result<std::optional<std::string_view>> string(std::string_view key) const;
  Result<std::optional<Array>> array(std::string_view key) const;

  std::span<const Tensor> tensors() const;  // all parts, in file order
  const Tensor* tensor(std::string_view name) const;

  uint64_t mapped_bytes() const;  // sum of the parts' lengths

  // Reads every mapped page in (MADV_POPULATE_READ), so that what was planned is what is measured.
  Result<void> populate() const;

 private:
  struct Impl;
  explicit File(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Installs the SIGBUS handler described above; call once, in processes that run a model.
void guard_mappings();

}  // namespace quipu::gguf

// The GGUF container: header, metadata, tensor table. Every number is checked against the bytes that are
// really there, and memory and time are proportional to them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/cursor.h"
#include "gguf/file.h"
#include "gguf/name_index.h"

namespace quipu::gguf {

// More than any real file holds by far; it keeps the tables below a few hundred MB whatever a file's length.
inline constexpr uint64_t kMaxRecords = uint64_t{1} << 22;

constexpr std::string_view key_of(const Entry& e) { return e.key; }
constexpr std::string_view name_of(const Tensor& t) { return t.name; }
using EntryIndex = NameIndex<Entry, key_of>;
using TensorIndex = NameIndex<Tensor, name_of>;

struct Parsed {
  std::vector<Entry> entries;
  std::vector<Tensor> tensors;
};

// The views in the result point into `bytes`. Keys are unique, tensor names too.
Result<Parsed> parse_gguf(std::span<const std::byte> bytes, File::Options options);

// The steps of parse_gguf: the n keys and values at the cursor; the tensor table that follows them and where
// its data lies in `bytes`.
Result<std::vector<Entry>> parse_entries(Cursor& c, uint64_t n);
Result<std::vector<Tensor>> parse_tensors(Cursor& c, uint64_t n, uint64_t alignment,
                                          std::span<const std::byte> bytes, File::Options options);

}  // namespace quipu::gguf

// The header of a GGUF file, read into memory: a server must not map files that may change under it.
//
// Threads: immutable once read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace quipu::store {

class GgufHeader {
 public:
  // kNotFound: "open PATH: no such file or directory". kCorrupt, kUnsupported: what is wrong with it.
  static Result<GgufHeader> read(const std::string& path);

  // Metadata and tensors, without the tensors' data. One part alone, if it is of a split model.
  const gguf::File& file() const { return *file_; }

  uint64_t file_bytes() const { return file_bytes_; }
  // What the file has to have, by its own table. More than file_bytes(): it is cut off.
  uint64_t expected_bytes() const { return expected_bytes_; }
  // Where each tensor's data begins in the file, in the order of file().tensors().
  const std::vector<uint64_t>& tensor_offsets() const { return tensor_offsets_; }

 private:
  bool locate_tensors();

  std::vector<std::byte> bytes_;
  std::unique_ptr<gguf::File> file_;
  std::vector<uint64_t> tensor_offsets_;
  uint64_t file_bytes_ = 0, expected_bytes_ = 0;
};

// Does the file begin as a GGUF file does? One that cannot be read does not.
bool looks_like_gguf(const std::string& path);

// "blk.3.attn_q.weight" belongs to block 3; -1: to none.
int64_t block_of(std::string_view tensor_name);

// The tensors by block, those of none first, and by name: the order in which llama.cpp's quantiser goes
// through them.
std::vector<const gguf::Tensor*> in_block_order(const gguf::File& file);

// Bytes of a tensor's data; nothing if they cannot be counted.
std::optional<uint64_t> tensor_bytes(const gguf::Tensor& tensor);

}  // namespace quipu::store

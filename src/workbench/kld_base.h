// A file of reference logits for `perplexity --save` and `--kld`: for every scored position the
// log-probabilities of the whole vocabulary in 16 bits, scaled between the row's largest and smallest value
// (step about 4e-4).
//
// Layout, little-endian: "QUIPUKLD", u32 version 1, u32 n_vocab, u32 n_ctx, u32 n_tokens, i32
// tokens[n_tokens], then rows in order: f32 max, f32 step, u16 values[n_vocab] (log p = max - step * value).
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "workbench/output_file.h"

namespace quipu::workbench {

struct KldHeader {
  uint32_t n_vocab = 0, n_ctx = 0;
  std::vector<int32_t> tokens;
};

class KldWriter {
 public:
  static Result<KldWriter> create(const std::string& path, const KldHeader& header);
  Result<void> row(std::span<const float> log_probs);
  Result<void> finish();

 private:
  explicit KldWriter(OutputFile out) : out_(std::move(out)) {}
  OutputFile out_;
  std::vector<uint16_t> values_;
};

class KldReader {
 public:
  static Result<KldReader> open(const std::string& path);
  const KldHeader& header() const { return header_; }
  Result<void> row(std::span<float> log_probs);  // the next one

 private:
  std::string path_;
  std::ifstream in_;
  KldHeader header_;
  std::vector<uint16_t> values_;
};

}  // namespace quipu::workbench

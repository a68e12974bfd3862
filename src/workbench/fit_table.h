// Which quantisation, context, cache type and number of sequences fit into a budget: the cells of `quipu
// fit`, and its recommendation.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/alternatives.h"
#include "memory/plan.h"

namespace quipu::workbench {

// One file of one model, as it is or estimated.
struct FitFile {
  std::string model;         // "8B", or the model's name
  std::string quantization;  // "Q4_K_M"
  memory::ModelShape shape;  // its weights included
  bool estimated = true;
  double bits = 0;  // of a weight
};

struct FitSetting {
  int64_t n_ctx = 0;
  int64_t n_parallel = 1;
  std::string kv;  // "q8_0", "q8_0:q4_0"
  memory::RuntimeOptions options() const;
};

// The cache types that are tried, the best first.
const std::vector<memory::Choices::Kv>& fit_kv_types();
// Sequences at once that are tried, from many to few.
const std::vector<int64_t>& fit_parallel();

// Lengths for the columns, up to the longest that one of the files was trained for. Where none of the files
// fits with the first of those, shorter ones, down to 512 tokens, stand before it and none behind: none of
// those fits either.
std::vector<int64_t> fit_contexts(const std::vector<FitFile>& files, uint64_t budget);

// The best setting that fits a context: the cache in q8_0, which is the default, before q8_0:q4_0 before q4_0
// (f16 takes twice as much for next to nothing), and then as many sequences as possible.
struct FitCell {
  memory::Fit fits = memory::Fit::kNo;
  FitSetting setting;  // of kYes and kTight
};
FitCell best_cell(const FitFile& file, int64_t n_ctx, uint64_t budget);

// Rows are files, columns contexts.
std::string fit_table(const std::vector<FitFile>& files, uint64_t budget);

// One sentence: which of them to take, and for how long a context.
std::string fit_recommendation(const std::vector<FitFile>& files, uint64_t budget);

}  // namespace quipu::workbench

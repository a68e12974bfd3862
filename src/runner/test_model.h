// A small model with random weights, loaded as a runner loads it. Every byte of text is a token. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "gguf/random_model.h"
#include "gguf/temporary_folder.h"
#include "runner/loaded_model.h"

namespace quipu::runner::test {

inline gguf::RandomModel tiny_model() {
  return {.arch = "llama",
          .mix = gguf::WeightMix::kF32,
          .n_layers = 1,
          .n_embd = 64,
          .n_heads = 2,
          .n_kv_heads = 1,
          .head_dim = 32,
          .n_ff = 64,
          .n_ctx = 8192,
          .n_vocab = 259};
}

// A test suite that shares one loaded model: 256 tokens of context, two sequences, two threads.
class WithModel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    write(tiny_model());
    load({.n_ctx = 256, .n_parallel = 2, .n_threads = 2, .kv_types = {}});
  }
  static void TearDownTestSuite() {
    model_.reset();
    folder_.reset();
  }

  // For suites with another model.
  static void write(const gguf::RandomModel& model) {
    folder_ = std::make_unique<gguf::test::TemporaryFolder>();
    const auto written = gguf::write_random_model(model, path());
    ASSERT_TRUE(written) << written.error().message;
  }
  static void load(const LoadOptions& options) {
    model_.reset();
    auto model = LoadedModel::load(path(), options);
    ASSERT_TRUE(model) << model.error().error.message;
    model_ = std::move(*model);
  }

  static std::string path() { return *folder_ / "model.gguf"; }
  static LoadedModel& model() { return *model_; }
  static const gguf::test::TemporaryFolder& folder() { return *folder_; }

 private:
  static inline std::unique_ptr<gguf::test::TemporaryFolder> folder_;
  static inline std::unique_ptr<LoadedModel> model_;
};

}  // namespace quipu::runner::test

// Sums of hidden states, of which embeddings are made.
#include <gtest/gtest.h>

#include "gguf/temporary_folder.h"
#include "kernels/dispatch.h"
#include "kv/block_table.h"
#include "model/naive_decoder.h"

namespace quipu {
namespace {

using test::NaiveDecoder;
using test::TinyModel;

// A model and what a pass over two sequences needs.
struct Harness {
  explicit Harness(const TinyModel& m, int n_threads = 2) {
    EXPECT_TRUE(kernels::init());
    const std::vector<std::byte> bytes = m.bytes();
    file = std::move(*gguf::File::open(
        folder.write("m.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()})));
    model = std::move(*load_model(*file));
    pool = std::move(*ThreadPool::create(n_threads));
    arena = std::move(*memory::Arena::create(model->shape(n_threads).workspace_bytes,
                                             memory::Category::kWorkspace, ledger));
    workspace = std::move(*model->make_workspace(arena, n_threads));
    layouts = model->kv_layouts({kernels::KvType::kF32, kernels::KvType::kF32});
    blocks = std::move(*kv::BlockPool::create(layouts[0].block_bytes(), 200, ledger));
  }

  // The sum over all tokens, in passes of `chunk` rows, beside another sequence that wants a logit.
  std::vector<double> sum(const std::vector<int32_t>& tokens, int64_t chunk, bool company, bool exact) {
    kv::BlockTable table(*blocks), other(*blocks);
    EXPECT_TRUE(table.reserve(static_cast<int64_t>(tokens.size())) && other.reserve(1000));
    std::vector<double> out(static_cast<size_t>(model->n_embd()));
    std::vector<float> logits(static_cast<size_t>(model->n_vocab()));
    int64_t others = 0;
    for (int64_t at = 0; at < static_cast<int64_t>(tokens.size()); at += chunk) {
      const int64_t n = std::min(chunk, static_cast<int64_t>(tokens.size()) - at);
      std::vector<int32_t> rows(tokens.begin() + at, tokens.begin() + at + n);
      std::vector<BatchSequence> sequences;
      std::vector<int32_t> outputs;
      if (company) {
        rows.insert(rows.begin(), {3, 4});
        sequences.push_back({0, 2, others, {other.blocks().data()}});
        outputs.push_back(1);
        others += 2;
      }
      const int64_t row0 = company ? 2 : 0;
      sequences.push_back({row0, n, at, {table.blocks().data()}});
      const HiddenSum wanted{row0, n, out.data()};
      const Model::Pass pass{*pool, *workspace, layouts, exact};
      const Batch batch{rows, sequences, outputs, std::span(&wanted, 1)};
      EXPECT_TRUE(model->forward(pass, batch, logits.data()));
    }
    return out;
  }

  gguf::test::TemporaryFolder folder;
  memory::Ledger ledger;
  std::unique_ptr<gguf::File> file;
  std::unique_ptr<Model> model;
  std::unique_ptr<ThreadPool> pool;
  memory::Arena arena;
  std::unique_ptr<Workspace> workspace;
  std::vector<kv::KvLayout> layouts;
  std::unique_ptr<kv::BlockPool> blocks;
};

std::vector<int32_t> some_tokens(size_t n) {
  std::vector<int32_t> ids(n);
  uint32_t state = 5;
  for (auto& id : ids) id = static_cast<int32_t>(((state = state * 1664525u + 1013904223u) >> 8) % 40);
  return ids;
}

TEST(HiddenSum, IsThatOfTheNormalisedStates) {
  for (const char* arch : {"llama", "granite"}) {
    const TinyModel m{.arch = arch};
    const auto tokens = some_tokens(70);
    const auto rows = NaiveDecoder{.m = m, .n_rot = 8}.hidden(tokens);
    const auto got = Harness(m).sum(tokens, 64, false, true);
    for (size_t i = 0; i < got.size(); ++i) {
      double want = 0;
      for (const auto& row : rows) want += row[i];
      EXPECT_NEAR(got[i], want, 1e-3) << arch << " " << i;
    }
  }
}

TEST(HiddenSum, IsTheSameInWhateverBatches) {
  for (const int64_t n_embd : {32, 320}) {  // the second in two parts
    const TinyModel m{.n_embd = n_embd, .n_heads = 4, .type = TensorType::kQ8_0};
    const auto tokens = some_tokens(300);
    const auto want = Harness(m, 1).sum(tokens, 256, false, false);
    Harness h(m, 3);
    for (const int64_t chunk : {1, 7, 64, 200})
      for (const bool company : {false, true}) EXPECT_EQ(h.sum(tokens, chunk, company, false), want) << chunk;
  }
}

}  // namespace
}  // namespace quipu

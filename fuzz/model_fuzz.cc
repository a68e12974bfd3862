// Any bytes as a model: hyper-parameters and tensors bound, memory planned, and, where the file is whole and
// small, a few tokens computed.
#include <spdlog/spdlog.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "gguf/file.h"
#include "kernels/dispatch.h"
#include "memory/arena.h"
#include "memory/plan.h"
#include "model/model.h"

namespace {

using quipu::Model;
using quipu::gguf::File;

constexpr uint64_t kMostWorkspace = uint64_t{256} << 20;  // larger ones are only planned
constexpr int64_t kTokens = 3;

void require(bool condition) {
  if (!condition) std::abort();
}

void plan(const Model& model) {
  for (const int threads : {1, 64}) {
    const quipu::memory::ModelShape shape = model.shape(threads);
    quipu::memory::RuntimeOptions options;
    options.n_ctx = model.n_ctx_train();
    options.n_parallel = 4;
    const auto p = quipu::memory::plan(shape, options);
    require(p.total() >= shape.workspace_bytes || p.total() == uint64_t{1} << 63);
  }
}

void compute(const Model& model) {
  const uint64_t bytes = model.shape(1).workspace_bytes;
  const std::vector<quipu::kv::KvLayout> layouts = model.kv_layouts({});
  if (bytes > kMostWorkspace || model.kv_block_bytes({}) > kMostWorkspace || model.n_vocab() > 1 << 16)
    return;
  quipu::memory::Ledger ledger;
  auto arena = quipu::memory::Arena::create(bytes, quipu::memory::Category::kWorkspace, ledger);
  require(arena.has_value());
  auto workspace = model.make_workspace(*arena, 1);
  require(workspace.has_value());
  auto cache = quipu::memory::Arena::create(model.kv_block_bytes({}), quipu::memory::Category::kKv, ledger);
  require(cache.has_value());
  const std::byte* blocks[quipu::kv::kMaxGroups] = {};
  for (size_t g = 0; g < layouts.size(); ++g) {
    blocks[g] = cache->take(layouts[g].block_bytes());
    require(blocks[g] != nullptr);
  }
  static const auto pool = quipu::ThreadPool::create(1);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < kTokens; ++i) tokens.push_back(static_cast<int32_t>(i % model.n_vocab()));
  quipu::BatchSequence sequence{0, kTokens, 0, {}};
  for (size_t g = 0; g < layouts.size(); ++g) sequence.blocks[g] = &blocks[g];
  const std::array<int32_t, 2> outputs = {0, kTokens - 1};
  std::vector<float> logits(outputs.size() * static_cast<size_t>(model.n_vocab()));
  for (const bool exact : {false, true}) {
    const Model::Pass pass{**pool, **workspace, layouts, exact};
    require(model.forward(pass, {tokens, std::span(&sequence, 1), outputs}, logits.data()).has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  (void)quipu::kernels::init();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  for (const bool whole : {false, true}) {
    const auto file = File::parse(bytes, {.require_tensor_data = whole});
    if (!file) continue;
    (void)quipu::quantization_name(**file);
    require(quipu::count_parameters(**file) >= 0);
    const auto model = quipu::load_model(**file);
    if (!model) {
      require(!model.error().message.empty() && model.error().message.find('\n') == std::string::npos);
      continue;
    }
    plan(**model);
    if (whole) compute(**model);
  }
  return 0;
}

#include "runner/memory_report.h"

#include <algorithm>
#include <future>

#include "runner/kv_types.h"
#include "runner/test_model.h"

namespace quipu::runner {
namespace {

using memory::Category;

memory::Machine machine(uint64_t bytes) {
  memory::Machine m;
  m.total = m.available = bytes;
  m.terms.push_back({"MemAvailable", bytes});
  return m;
}

class MemoryReport : public test::WithModel {
 protected:
  static Planned plan(LoadOptions load, uint64_t free) {
    return plan_model(model().file(), model().model(), load, machine(free));
  }
};

TEST_F(MemoryReport, TheContextIsTheTrainedOneWhereItFits) {
  const Planned p = plan({}, uint64_t{1} << 40);
  EXPECT_EQ(p.options.n_ctx, 8192);
  EXPECT_EQ(p.options.n_parallel, 4);
  EXPECT_EQ(p.kv_type, "q8_0:q8_0");
  EXPECT_EQ(plan({.n_ctx = 100000, .kv_types = {}}, uint64_t{1} << 40).options.n_ctx, 8192)
      << "no longer than it was trained for";
  EXPECT_EQ(plan({.n_ctx = 100, .kv_types = {}}, uint64_t{1} << 40).options.n_ctx, 100);
}

TEST_F(MemoryReport, TheDefaultContextIsWhatOneSequenceMayTake) {
  const Planned whole = plan({}, uint64_t{1} << 40);
  const uint64_t fixed = whole.plan.total();
  const Planned p = plan({}, fixed + 1000 * whole.plan.kv_bytes_per_token);
  EXPECT_EQ(p.options.n_ctx, 992) << "whole blocks of 32";
  EXPECT_NE(memory::fits(p.plan, p.options, p.free), memory::Fit::kNo);
  EXPECT_EQ(p.kv_room(p.free), 1000 * whole.plan.kv_bytes_per_token);
  // Below what is of use, the load is refused rather than the context made shorter still.
  const Planned small = plan({}, fixed + 10 * whole.plan.kv_bytes_per_token);
  EXPECT_EQ(small.options.n_ctx, 512);
  EXPECT_EQ(memory::fits(small.plan, small.options, small.free), memory::Fit::kNo);
  EXPECT_EQ(plan({}, 5).kv_room(5), 0u);

  // The same where somebody has set one; what is asked for stays as it is.
  LoadOptions load{.n_ctx = 4096, .n_ctx_is_default = true};
  const auto context = [&](uint64_t tokens) {
    return plan(load, fixed + tokens * whole.plan.kv_bytes_per_token).options.n_ctx;
  };
  EXPECT_EQ(context(3000), 2976);
  EXPECT_EQ(context(5000), 4096);
  EXPECT_EQ(context(1000), 4096) << "its charge does not fit: refused, with what would";
  load.n_ctx = 300;
  EXPECT_EQ(context(10), 300);
  load = {.n_ctx = 4096};
  EXPECT_EQ(context(3000), 4096);
}

TEST_F(MemoryReport, CacheTypesCount) {
  LoadOptions wide;
  wide.kv_types = {kernels::KvType::kF32, kernels::KvType::kF32};
  EXPECT_EQ(plan(wide, 1 << 30).plan.kv_bytes_per_token, 2 * plan({}, 1 << 30).plan.kv_bytes_per_token);
}

TEST_F(MemoryReport, WhatIsMeasuredAddsUp) {
  ASSERT_TRUE(model().engine().fill(256, 2));
  const auto full = model().memory();
  ASSERT_TRUE(model().engine().fill(0, 1));
  const auto empty = model().memory();

  const uint64_t ceiling = full["kv"]["ceiling"];
  EXPECT_EQ(full["kv"]["measured"], ceiling);
  EXPECT_EQ(full["kv"]["planned"], ceiling);
  EXPECT_EQ(full["kv"]["in_use"], ceiling);
  EXPECT_EQ(empty["kv"]["measured"], 0);
  EXPECT_EQ(full["total"]["planned"].get<uint64_t>() - empty["total"]["planned"].get<uint64_t>(), ceiling);

  int64_t sum = full["unexplained"];
  for (const char* c : {"weights", "projector", "kv", "workspace", "output", "runtime"}) {
    sum += full[c]["measured"].get<int64_t>();
    EXPECT_TRUE(full[c]["planned"].is_number()) << c;
  }
  EXPECT_EQ(sum, full["total"]["measured"].get<int64_t>());
  EXPECT_EQ(full["weights"]["planned"], model().file().mapped_bytes());
  EXPECT_GT(full["weights"]["measured"].get<uint64_t>(), model().file().mapped_bytes() / 2);
}

TEST_F(MemoryReport, WhatIsPlannedOfTheCacheIsNotWhatTheLedgerSays) {
  const Planned p = plan({}, uint64_t{1} << 40);
  memory::Ledger ledger;
  ledger.add(Category::kKv, 3000);
  const auto m = memory_json(p, {.total = 5000}, ledger, {.in_use = 1000, .cached = 500, .planned = 4096});
  EXPECT_EQ(m["kv"]["planned"], 4096);
  EXPECT_EQ(m["kv"]["measured"], 3000);
  EXPECT_EQ(m["kv"]["in_use"], 1000);
  EXPECT_EQ(m["kv"]["cached"], 500);
  EXPECT_EQ(m["total"]["planned"], p.plan.fixed() + 4096);
  EXPECT_EQ(m["unexplained"], 2000);
}

// Blocks of several types: each as large as the plan of its own type has it.
TEST_F(MemoryReport, BlocksOfEveryTypeAreCountedTwice) {
  ASSERT_TRUE(model().engine().fill(0, 1));
  uint64_t expected = 0;
  for (const char* name : {"q8_0", "f32", "q4_0", "f16:q8_0"}) {
    const KvTypes types = *parse_kv_types(name);
    LoadOptions load;
    load.kv_types = types;
    expected += 3 * plan(load, 1 << 30).plan.kv_block_bytes;
    std::promise<void> ended;
    GenerateRequest r;
    r.prompt.assign(70, 65);
    r.options.num_predict = 1;
    r.options.kv_types = types;
    r.on_done = [&](const Result<GenerateStats>&) { ended.set_value(); };
    ASSERT_TRUE(model().engine().submit(std::move(r)));
    ended.get_future().wait();
    const auto m = model().memory();
    EXPECT_EQ(m["kv"]["planned"], expected) << name;
    EXPECT_EQ(m["kv"]["measured"], expected) << name;
    EXPECT_EQ(m["total"]["planned"], model().planned().plan.fixed() + expected) << name;
  }
  ASSERT_TRUE(model().engine().fill(0, 1));
  EXPECT_EQ(model().memory()["kv"]["planned"], 0);
}

TEST_F(MemoryReport, AFileThatIsRemovedWhileItIsMappedIsStillTheModels) {
  const std::string weights = folder().path() + "/weights.gguf";
  const std::string projector = folder().path() + "/projector.gguf";
  std::vector<std::unique_ptr<gguf::File>> mapped;
  for (const std::string& copy : {weights, projector}) {
    std::filesystem::copy_file(path(), copy);
    auto file = gguf::File::open(copy);
    ASSERT_TRUE(file) << file.error().message;
    int64_t sum = 0;  // what was never read is not there
    for (const gguf::Tensor& t : (*file)->tensors())
      for (const std::byte b : t.data) sum += static_cast<int64_t>(b);
    EXPECT_GT(sum, 0);
    mapped.push_back(std::move(*file));
  }
  const Measured before = measure({weights}, {projector});
  EXPECT_GT(before.weights, mapped[0]->mapped_bytes() / 2);
  for (const std::string& copy : {weights, projector}) std::filesystem::remove(copy);
  const Measured after = measure({weights}, {projector});
  EXPECT_EQ(after.weights, before.weights);
  EXPECT_EQ(after.projector, before.projector);
}

TEST_F(MemoryReport, AFileThatDoesNotFitComesWithItsPlan) {
  // A file as long as no machine's memory, though it takes no place on the disk.
  const std::string path = folder().path() + "/large.gguf";
  std::filesystem::copy_file(test::WithModel::path(), path);
  std::error_code failed;
  std::filesystem::resize_file(path, uint64_t{1} << 42, failed);
  if (failed) GTEST_SKIP() << "no large files here: " << failed.message();
  const auto loaded = LoadedModel::load(path, {});
  ASSERT_FALSE(loaded);
  const LoadFailure& f = loaded.error();
  EXPECT_EQ(f.error.code, Code::kOutOfMemory);
  EXPECT_NE(f.error.message.find("model needs 4.0 TiB (weights 4.0 TiB"), std::string::npos)
      << f.error.message;
  EXPECT_EQ(f.error.message.find('\n'), std::string::npos);
  EXPECT_EQ(f.plan["memory"]["weights"]["planned"], uint64_t{1} << 42);
  EXPECT_EQ(f.plan["fits"], "no");
  EXPECT_GE(std::count(f.table.begin(), f.table.end(), '\n'), 6);
  EXPECT_NE(f.table.find("room for a first sequence of "), std::string::npos) << f.table;
}

}  // namespace
}  // namespace quipu::runner

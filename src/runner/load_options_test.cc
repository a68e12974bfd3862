#include "runner/load_options.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "runner/kv_types.h"

namespace quipu::runner {
namespace {

class LoadOptionsTest : public testing::Test {
 protected:
  void SetUp() override { TearDown(); }
  void TearDown() override {
    for (const char* name : {"QUIPU_NUM_PARALLEL", "OLLAMA_NUM_PARALLEL", "QUIPU_THREADS",
                             "QUIPU_KV_CACHE_TYPE", "OLLAMA_KV_CACHE_TYPE", "QUIPU_PREFIX_CACHE",
                             "QUIPU_IDLE_TRIM", "QUIPU_MEMORY", "QUIPU_MEMORY_RESERVE"})
      unsetenv(name);
  }
};

TEST_F(LoadOptionsTest, WithoutVariables) {
  const auto o = default_load_options();
  ASSERT_TRUE(o);
  EXPECT_EQ(o->n_parallel, 4);
  EXPECT_EQ(o->n_threads, 0);
  EXPECT_EQ(kv_types_name(o->kv_types), "q8_0:q8_0");
  EXPECT_TRUE(o->keep_prefixes);
  EXPECT_EQ(o->idle_trim_seconds, 60);
}

TEST_F(LoadOptionsTest, EachVariableCounts) {
  setenv("QUIPU_NUM_PARALLEL", "7", 1);
  setenv("OLLAMA_NUM_PARALLEL", "2", 1);
  setenv("QUIPU_THREADS", "3", 1);
  setenv("OLLAMA_KV_CACHE_TYPE", "f32", 1);
  setenv("QUIPU_PREFIX_CACHE", "off", 1);
  setenv("QUIPU_IDLE_TRIM", "1m30s", 1);
  setenv("QUIPU_MEMORY", "60%", 1);
  setenv("QUIPU_MEMORY_RESERVE", "1 GB", 1);
  const auto o = default_load_options();
  ASSERT_TRUE(o) << o.error().message;
  EXPECT_EQ(o->n_parallel, 7);
  EXPECT_EQ(o->n_threads, 3);
  EXPECT_EQ(o->kv_types.k, kernels::KvType::kF32);
  EXPECT_EQ(o->kv_types.v, kernels::KvType::kF32);
  EXPECT_FALSE(o->keep_prefixes);
  EXPECT_EQ(o->idle_trim_seconds, 90);
  ASSERT_TRUE(o->bounds.memory && o->bounds.reserve);
  EXPECT_EQ(o->bounds.memory->of(1000), 600u);
  EXPECT_EQ(o->bounds.reserve->of(1000), 1'000'000'000u);
  setenv("QUIPU_MEMORY", "0", 1);
  EXPECT_FALSE(default_load_options()->bounds.memory) << "0 is automatic";
  unsetenv("QUIPU_NUM_PARALLEL");
  EXPECT_EQ(default_load_options()->n_parallel, 2);
  setenv("QUIPU_IDLE_TRIM", "0", 1);  // never
  EXPECT_EQ(default_load_options()->idle_trim_seconds, 0);
}

TEST_F(LoadOptionsTest, ABadValueNamesItsVariable) {
  const std::pair<const char*, const char*> bad[] = {
      {"QUIPU_NUM_PARALLEL", "many"}, {"QUIPU_NUM_PARALLEL", "257"},   {"QUIPU_THREADS", "-1"},
      {"QUIPU_KV_CACHE_TYPE", "f8"},  {"QUIPU_IDLE_TRIM", "soon"},     {"QUIPU_IDLE_TRIM", "-5"},
      {"QUIPU_MEMORY", "most"},       {"QUIPU_MEMORY_RESERVE", "101%"}};
  for (const auto& [name, value] : bad) {
    setenv(name, value, 1);
    const auto o = default_load_options();
    ASSERT_FALSE(o) << name;
    EXPECT_EQ(o.error().code, Code::kInvalidArgument);
    EXPECT_NE(o.error().message.find(name), std::string::npos) << o.error().message;
    EXPECT_NE(o.error().message.find(value), std::string::npos) << o.error().message;
    unsetenv(name);
  }
}

TEST_F(LoadOptionsTest, AllBadValuesAtOnce) {
  EXPECT_TRUE(bad_load_settings().empty());
  setenv("QUIPU_NUM_PARALLEL", "9999", 1);
  setenv("QUIPU_KV_CACHE_TYPE", "zz", 1);
  setenv("QUIPU_IDLE_TRIM", "soon", 1);
  const auto all = bad_load_settings();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(all[0].starts_with("QUIPU_NUM_PARALLEL=9999 ")) << all[0];
  EXPECT_TRUE(all[1].starts_with("QUIPU_KV_CACHE_TYPE: ")) << all[1];
  EXPECT_TRUE(all[2].starts_with("QUIPU_IDLE_TRIM=soon ")) << all[2];
}

}  // namespace
}  // namespace quipu::runner

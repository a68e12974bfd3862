#include "server/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <tuple>

#include "server/examine_settings.h"

namespace quipu::server {
namespace {

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name :
         {"HOST",         "ORIGINS",         "MODELS",         "API_KEY",      "KEEP_ALIVE",
          "LOAD_TIMEOUT", "REQUEST_TIMEOUT", "CONTEXT_LENGTH", "NUM_PARALLEL", "MAX_LOADED_MODELS",
          "MAX_QUEUE",    "THREADS",         "KV_CACHE_TYPE",  "MEMORY",       "MEMORY_RESERVE",
          "NOPRUNE",      "IDLE_TRIM",       "LOG_FORMAT",     "ISA",          "DEBUG_LOG_REQUESTS",
          "GO_TEMPLATE",  "PRELOAD"})
      for (const char* owner : {"QUIPU_", "OLLAMA_"}) unsetenv((std::string(owner) + name).c_str());
  }
  void TearDown() override { SetUp(); }
};

TEST_F(ConfigTest, Defaults) {
  setenv("HOME", "/home/ada", 1);
  const Config c = Config::from_environment();
  EXPECT_EQ(c.host.endpoint.to_string(), "127.0.0.1:11434");
  EXPECT_EQ(c.models, "/home/ada/.ollama/models");
  EXPECT_EQ(c.keep_alive, std::chrono::minutes(5));
  EXPECT_EQ(c.num_parallel, 4);
  EXPECT_EQ(c.max_loaded, 3);
  EXPECT_EQ(c.max_queue, 512);
  EXPECT_TRUE(c.prune);
  EXPECT_FALSE(c.go_templates);
  EXPECT_TRUE(c.warnings.empty());
}

TEST_F(ConfigTest, OursWinsAndTheirsCounts) {
  setenv("OLLAMA_MODELS", "/theirs", 1);
  setenv("OLLAMA_NUM_PARALLEL", "2", 1);
  setenv("OLLAMA_KEEP_ALIVE", "-1", 1);
  setenv("OLLAMA_ORIGINS", "https://a, https://b ,", 1);
  setenv("OLLAMA_NOPRUNE", "true", 1);
  setenv("QUIPU_MODELS", "/ours", 1);
  setenv("QUIPU_REQUEST_TIMEOUT", "90", 1);
  setenv("QUIPU_API_KEY", "secret", 1);
  setenv("QUIPU_PRELOAD", "a,b:c", 1);
  const Config c = Config::from_environment();
  EXPECT_EQ(c.models, "/ours");
  EXPECT_EQ(c.num_parallel, 2);
  EXPECT_LT(c.keep_alive.count(), 0);
  EXPECT_EQ(c.origins, (std::vector<std::string>{"https://a", "https://b"}));
  EXPECT_FALSE(c.prune);
  EXPECT_EQ(c.request_timeout, std::chrono::seconds(90));
  EXPECT_EQ(c.preload, (std::vector<std::string>{"a", "b:c"}));
  for (const auto& [name, value] : c.effective) EXPECT_EQ(value.find("secret"), std::string::npos) << name;
}

TEST_F(ConfigTest, WhatMakesNoSenseIsAWarning) {
  setenv("OLLAMA_NUM_PARALLEL", "many", 1);
  setenv("OLLAMA_KEEP_ALIVE", "soon", 1);
  setenv("OLLAMA_MAX_QUEUE", "-3", 1);
  setenv("QUIPU_MEMORY", "plenty", 1);
  setenv("QUIPU_MEMORY_RESERVE", "10%", 1);
  const Config c = Config::from_environment();
  EXPECT_EQ(c.num_parallel, 4);
  EXPECT_EQ(c.keep_alive, std::chrono::minutes(5));
  EXPECT_EQ(c.max_queue, 512);
  EXPECT_FALSE(c.memory.memory);
  ASSERT_TRUE(c.memory.reserve);
  EXPECT_EQ(c.memory.reserve->of(50), 5u);
  EXPECT_EQ(c.warnings.size(), 4u);
}

TEST_F(ConfigTest, NegativeDurationsAreOnlyWhereTheyMeanSomething) {
  for (const char* name : {"OLLAMA_KEEP_ALIVE", "OLLAMA_LOAD_TIMEOUT"}) setenv(name, "-5", 1);
  const Config good = Config::from_environment();
  EXPECT_EQ(good.keep_alive, std::chrono::seconds(-5));
  EXPECT_EQ(good.load_timeout, std::chrono::seconds(-5));
  EXPECT_TRUE(good.warnings.empty());
  for (const char* name : {"QUIPU_REQUEST_TIMEOUT", "QUIPU_IDLE_TRIM"}) {
    for (const char* value : {"-5", "-1m"}) {
      setenv(name, value, 1);
      const Config c = Config::from_environment();
      EXPECT_EQ(c.request_timeout.count(), 0);
      ASSERT_EQ(c.warnings.size(), 1u) << name;
      EXPECT_TRUE(c.warnings[0].starts_with(fmt::format("{}={} is negative", name, value))) << c.warnings[0];
      EXPECT_TRUE(c.warnings[0].ends_with("; using the default")) << c.warnings[0];
    }
    unsetenv(name);
  }
}

TEST_F(ConfigTest, AnUnknownInstructionSetIsAWarning) {
  setenv("QUIPU_ISA", "abacus", 1);
  const Config c = Config::from_environment();
  ASSERT_EQ(c.warnings.size(), 1u);
  EXPECT_EQ(c.warnings[0],
            "QUIPU_ISA=abacus: it must be scalar, avx2 or avx512; no model can be loaded with it");
  setenv("QUIPU_ISA", "scalar", 1);
  EXPECT_TRUE(Config::from_environment().warnings.empty());
}

TEST_F(ConfigTest, NoMemoryIsWhateverThereIs) {
  setenv("QUIPU_MEMORY", "0", 1);
  const Config c = Config::from_environment();
  EXPECT_FALSE(c.memory.memory);
  EXPECT_TRUE(c.warnings.empty());
}

TEST_F(ConfigTest, EverySettingThatMakesNoSenseIsAFinding) {
  using doctor::Status;
  const auto good = examine_settings(Config::from_environment());
  ASSERT_EQ(good.size(), 1u);
  EXPECT_EQ(good[0].status, Status::kOk);
  const std::tuple<const char*, const char*, Status> bad[] = {
      {"QUIPU_MEMORY", "garbage", Status::kWarn},       {"QUIPU_MEMORY_RESERVE", "-5", Status::kWarn},
      {"QUIPU_KV_CACHE_TYPE", "zz", Status::kWarn},     {"OLLAMA_KV_CACHE_TYPE", "zz", Status::kWarn},
      {"QUIPU_NUM_PARALLEL", "9999", Status::kWarn},    {"OLLAMA_NUM_PARALLEL", "9999", Status::kWarn},
      {"QUIPU_CONTEXT_LENGTH", "x", Status::kWarn},     {"OLLAMA_CONTEXT_LENGTH", "x", Status::kWarn},
      {"OLLAMA_KEEP_ALIVE", "soon", Status::kWarn},     {"OLLAMA_MAX_QUEUE", "-1", Status::kWarn},
      {"OLLAMA_HOST", "127.0.0.1:port", Status::kWarn}, {"QUIPU_LOG_FORMAT", "xml", Status::kWarn},
      {"QUIPU_IDLE_TRIM", "-5", Status::kWarn},         {"QUIPU_REQUEST_TIMEOUT", "-5", Status::kWarn},
  };
  for (const auto& [name, value, status] : bad) {
    setenv(name, value, 1);
    const auto found = examine_settings(Config::from_environment());
    ASSERT_EQ(found.size(), 1u) << name;
    EXPECT_EQ(found[0].name, "settings");
    EXPECT_EQ(found[0].status, status) << name;
    EXPECT_NE(found[0].remedy.find(name), std::string::npos) << found[0].remedy;
    unsetenv(name);
  }
  setenv("QUIPU_THREADS", "many", 1);  // findings of the processor's
  setenv("QUIPU_ISA", "abacus", 1);
  setenv("QUIPU_MEMORY", "garbage", 1);
  setenv("QUIPU_MEMORY_RESERVE", "-5", 1);
  setenv("OLLAMA_NUM_PARALLEL", "9999", 1);
  EXPECT_EQ(examine_settings(Config::from_environment()).size(), 3u);
}

}  // namespace
}  // namespace quipu::server

#include "fleet/memory_facts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace quipu::fleet {
namespace {

TEST(MemoryFacts, Numbers) {
  const Json object = {{"a", {{"b", 7}, {"c", -1}, {"d", 1.5}}}, {"e", 1}};
  EXPECT_EQ(number_at(object, {"a", "b"}), 7);
  EXPECT_EQ(number_at(object, {"e"}), 1);
  EXPECT_EQ(number_at(object, {"a", "c"}), 0);
  EXPECT_EQ(number_at(object, {"a", "d"}), 0);
  EXPECT_EQ(number_at(object, {"a", "x"}), 0);
  EXPECT_EQ(number_at(object, {"e", "x"}), 0);
  EXPECT_EQ(number_at(object, {"a"}), 0);
  EXPECT_EQ(number_at(Json(), {"a"}), 0);
}

TEST(MemoryFacts, WhatIsHeld) {
  const std::string path = testing::TempDir() + "quipu-facts-" + std::to_string(::getpid());
  std::ofstream(path) << "12345";
  const ModelRef model{.name = {}, .digest = {}, .model_path = path, .projector_paths = {path, "/nowhere"}};
  EXPECT_EQ(held_bytes(model, {{"total", {{"planned", 5}, {"measured", 6}}}}), 6u);
  EXPECT_EQ(held_bytes(model, {{"total", {{"planned", 5}}}}), 5u);
  EXPECT_EQ(held_bytes(model, nullptr), 10u);
  ::unlink(path.c_str());
}

TEST(MemoryFacts, WhatIsCharged) {
  const Json memory = {{"kv", {{"planned", 0}, {"bytes_per_token", 100}}}, {"total", {{"planned", 5000}}}};
  EXPECT_EQ(charged_bytes(memory, 8192), 5000u + 2048 * 100) << "one useful sequence";
  EXPECT_EQ(charged_bytes(memory, 33), 5000u + 64 * 100) << "or a shorter one, in blocks";
  EXPECT_EQ(charged_bytes(nullptr, 100), 0u);
}

TEST(MemoryFacts, WhatNoEvictionCouldHelp) {
  const auto plan = [](int64_t planned, int64_t machine) {
    return Json{{"memory", {{"total", {{"planned", planned}}}}}, {"machine", {{"total", machine}}}};
  };
  EXPECT_TRUE(exceeds_machine(plan(10, 9)));
  EXPECT_FALSE(exceeds_machine(plan(10, 10)));
  EXPECT_FALSE(exceeds_machine(plan(10, 0)));
  EXPECT_FALSE(exceeds_machine(nullptr));
}

}  // namespace
}  // namespace quipu::fleet

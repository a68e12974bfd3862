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

TEST(MemoryFacts, WhatNoEvictionCouldHelp) {
  const auto plan = [](int64_t charge, int64_t budget, int64_t free) {
    return Json{{"charge", charge}, {"machine", {{"budget", budget}, {"free", free}}}};
  };
  EXPECT_TRUE(exceeds_budget(plan(10, 9, 9)));
  EXPECT_TRUE(exceeds_budget(plan(10, 0, 0)));
  EXPECT_FALSE(exceeds_budget(plan(10, 10, 3)));
  EXPECT_FALSE(exceeds_budget(nullptr));
  EXPECT_FALSE(exceeds_budget({{"charge", 10}}));
  EXPECT_EQ(missing_bytes(plan(10, 10, 3)), 7u);
  EXPECT_EQ(missing_bytes(plan(10, 10, 30)), 0u);
  EXPECT_EQ(missing_bytes(nullptr), 0u);
}

}  // namespace
}  // namespace quipu::fleet

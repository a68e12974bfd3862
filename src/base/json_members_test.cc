#include "base/json_members.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

using Json = nlohmann::ordered_json;

TEST(JsonMembers, WhatIsMissingOrOfAnotherTypeIsNothing) {
  const Json object = {{"a", "b"}, {"c", 7u}, {"d", -1}};
  EXPECT_EQ(text_at(object, "a"), "b");
  EXPECT_EQ(text_at(object, "c"), "");
  EXPECT_EQ(text_at(object, "x"), "");
  EXPECT_EQ(text_at(Json(), "a"), "");
  EXPECT_EQ(bytes_at(object, "c"), 7u);
  EXPECT_EQ(bytes_at(object, "a"), 0u);
  EXPECT_EQ(bytes_at(object, "d"), 0u) << "there are no fewer than none";
  EXPECT_EQ(bytes_at(Json::array(), "a"), 0u);
  EXPECT_EQ(*member_at(object, "a"), "b");
  EXPECT_EQ(member_at(object, "x"), nullptr);
  EXPECT_EQ(member_at(Json(3), "a"), nullptr);
}

}  // namespace
}  // namespace quipu

#include "store/stored_json.h"

#include <gtest/gtest.h>

#include <string>

namespace quipu::store {
namespace {

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(StoredJson, IsReadAsDeeplyAsARequestMayGo) {
  EXPECT_TRUE(parse_stored_json(nested(kMostStoredNesting)).is_array());
  EXPECT_TRUE(parse_stored_json(nested(kMostStoredNesting + 1)).is_discarded());
  EXPECT_TRUE(parse_stored_json(std::string(5'000'000, '[')).is_discarded());
  std::string objects;
  for (int i = 0; i < 2'000; ++i) objects += R"({"a":)";
  EXPECT_TRUE(parse_stored_json(objects + "1" + std::string(2'000, '}')).is_discarded());
}

TEST(StoredJson, BracketsInTextsDoNotCount) {
  const std::string brackets(5'000, '[');
  EXPECT_EQ(parse_stored_json(R"({"a":")" + brackets + R"(\""})")["a"], brackets + "\"");
  EXPECT_EQ(parse_stored_json(R"({"a\\":["[",")" + brackets + R"("]})")["a\\"][1], brackets);
}

TEST(StoredJson, WideIsNotDeep) {
  std::string wide = "[";
  for (int i = 0; i < 5'000; ++i) wide += "[{}],";
  EXPECT_EQ(parse_stored_json(wide + "1]").size(), 5'001u);
}

TEST(StoredJson, WhatIsNoJsonIsDiscarded) {
  for (const char* text : {"", "{", "]", "]]]", "\"", "{\"a\\", "[1,]", "x"})
    EXPECT_TRUE(parse_stored_json(text).is_discarded()) << text;
}

}  // namespace
}  // namespace quipu::store

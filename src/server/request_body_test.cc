#include "server/request_body.h"

#include <gtest/gtest.h>

namespace quipu::server {
namespace {

TEST(RequestBody, TheFirstValueCounts) {
  EXPECT_EQ(*parse_first_value(R"({"a":1} trailing)"), Json({{"a", 1}}));
  EXPECT_EQ(*parse_first_value("  [1,2] [3]"), Json({1, 2}));
  EXPECT_EQ(*parse_first_value("5x"), Json(5));
  for (const auto& [text, message] :
       {std::pair<const char*, const char*>{R"({"model": )", "unexpected EOF"},
        {"{", "unexpected EOF"},
        {"   ", "unexpected EOF"},
        {"[1,", "unexpected EOF"},
        {"\"abc", "unexpected EOF"},
        {"model=smol", "invalid character 'm' looking for beginning of value"}}) {
    const auto v = parse_first_value(text);
    ASSERT_FALSE(v) << text;
    EXPECT_EQ(v.error().message, message) << text;
  }
  for (const char* bad : {"{a:1}", "not json", "{\"a\" 1}", "[1 2]", "{\"a\":\xff}", "\x01", R"({\ud83d:1})",
                          R"(["\u12g4"])", R"(["\ud83d\x"])"})
    EXPECT_FALSE(parse_first_value(bad)) << bad;
}

TEST(RequestBody, WhatIsNoCharacterIsReplaced) {
  for (const auto& [text, value] : {std::pair<const char*, const char*>{"[\"a\xff\xfe"
                                                                        "b\"]",
                                                                        "a\ufffd\ufffdb"},
                                    {R"(["\ud83d"])", "\ufffd"},
                                    {R"(["\ude00\uD83D x"])", "\ufffd\ufffd x"},
                                    {R"(["\ud83d\ud83d\ude00"])", "\ufffd\U0001f600"},
                                    {R"(["\ud83d\u0041"])",
                                     "\ufffd"
                                     "A"},
                                    {R"(["\\ud83d\udc00"])", "\\ud83d\ufffd"},
                                    {R"(["\\\ud83d\\ude00"])", "\\\ufffd\\ude00"}}) {
    const auto v = parse_first_value(text);
    ASSERT_TRUE(v) << text << v.error().message;
    EXPECT_EQ((*v)[0], value) << text;
  }
}

TEST(RequestBody, KeysWithoutCaseAndTheLastOfSeveral) {
  const auto v = parse_object(R"({"Model":"a","MODEL":"b","prompt":null,"x":1,"x":2})", "GenerateRequest");
  ASSERT_TRUE(v);
  const Fields f(*v, "GenerateRequest");
  EXPECT_EQ(*f.text("model"), "b");
  EXPECT_EQ(*f.text("prompt"), "");
  EXPECT_EQ(*f.integer("x", 0), 2);
  EXPECT_EQ(*f.integer("y", 7), 7);
  EXPECT_EQ(*f.flag("stream", true), true);
}

TEST(RequestBody, InMapsTooTheLastOfSeveralCounts) {
  const auto v = parse_object(R"({"b":1,"a":[1],"B":2,"b":null,"a":"x"})", "T");
  ASSERT_TRUE(v);
  EXPECT_EQ(as_map(*v).dump(), R"({"B":2,"a":"x","b":null})");
}

TEST(RequestBody, WrongTypesInGosWords) {
  const auto v = parse_object(R"({"a":5,"b":"x","c":[1],"d":{},"e":true,"f":1.5})", "T");
  ASSERT_TRUE(v);
  const Fields f(*v, "T");
  EXPECT_EQ(f.text("a").error().message,
            "json: cannot unmarshal number into Go struct field T.a of type string");
  EXPECT_EQ(f.flag("b", true).error().message,
            "json: cannot unmarshal string into Go struct field T.b of type bool");
  EXPECT_EQ(f.text("c").error().message,
            "json: cannot unmarshal array into Go struct field T.c of type string");
  EXPECT_EQ(f.array("d", "api.Tools").error().message,
            "json: cannot unmarshal object into Go struct field T.d of type api.Tools");
  EXPECT_EQ(f.object("e", "map[string]interface {}").error().message,
            "json: cannot unmarshal bool into Go struct field T.e of type map[string]interface {}");
  EXPECT_FALSE(f.integer("f", 0));
  EXPECT_EQ(parse_object("[]", "ShowRequest").error().message,
            "json: cannot unmarshal array into Go value of type api.ShowRequest");
  EXPECT_EQ(parse_object("", "X").error().message, "missing request body");
  EXPECT_EQ(*parse_object("null", "X"), Json::object());
}

TEST(RequestBody, HostileBodies) {
  EXPECT_FALSE(parse_first_value(std::string(100'000, '[')));
  EXPECT_FALSE(parse_first_value(std::string(10'000, '[') + std::string(10'000, ']')));
  EXPECT_TRUE(parse_first_value(std::string(900, '[') + std::string(900, ']')));
  std::string many = "[";
  for (int i = 0; i < 5'000'000; ++i) many += "1,";
  EXPECT_FALSE(parse_first_value(many + "1]"));
  // Many keys cost no more than their text.
  std::string keys = "{";
  for (int i = 0; i < 200'000; ++i) keys += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_TRUE(parse_first_value(keys + "\"z\":1}"));
}

}  // namespace
}  // namespace quipu::server

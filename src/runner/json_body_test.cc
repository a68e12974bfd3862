#include "runner/json_body.h"

#include <gtest/gtest.h>

namespace quipu::runner {
namespace {

std::string wrong(std::string_view body) {
  const auto parsed = parse_body(body);
  if (parsed) return "fine";
  EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
  EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
  return parsed.error().message;
}

std::string repeat(std::string_view s, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += s;
  return out;
}

TEST(JsonBody, ReadsAnObject) {
  const auto body = parse_body(R"({"text":"Gr\u00fc\u00dfe \ud83d\ude42","n":[1,2.5,null,true]})");
  ASSERT_TRUE(body);
  EXPECT_EQ((*body)["text"], "Grüße 🙂");
  EXPECT_EQ((*body)["n"].size(), 4u);
}

TEST(JsonBody, RefusesWhatIsNoObject) {
  EXPECT_EQ(wrong(""), "the request has no body");
  for (const char* body : {"[]", "1", "\"text\"", "null"})
    EXPECT_EQ(wrong(body), "the request must be a JSON object") << body;
}

TEST(JsonBody, SaysWhereJsonGoesWrong) {
  EXPECT_EQ(wrong(R"({"a":1,})"), "the request is not valid JSON: it goes wrong at byte 8");
  for (const char* body :
       {"{", R"({"a":1)", R"({"a":NaN})", R"({"a":'x'})", R"({"a":1}x)", R"({"a":"\ud800"})", R"({"a":"\x"})",
        "{\"a\":\"\xff\"}", "{\"a\":\"line\nbreak\"}", R"({"a":01})", R"({a:1})"})
    EXPECT_TRUE(wrong(body).starts_with("the request is not valid JSON: it goes wrong at byte ")) << body;
}

TEST(JsonBody, KeepsTheOrderOfKeys) {
  const auto body = *parse_body(R"({"z":{"b":1,"a":[{"y":1,"x":2}]},"a":2})");
  EXPECT_EQ(body.dump(), R"({"z":{"b":1,"a":[{"y":1,"x":2}]},"a":2})");
}

TEST(JsonBody, OfEqualKeysTheLastCounts) {
  EXPECT_EQ(parse_body(R"({"a":1,"b":{"x":1,"x":2},"a":[],"c":3,"a":4})")->dump(),
            R"({"b":{"x":2},"c":3,"a":4})");
}

TEST(JsonBody, ManyKeysTakeNoMoreThanTheirLength) {
  std::string text = "{";
  for (int i = 0; i < 500'000; ++i) text += "\"k" + std::to_string(i % 400'000) + "\":0,";
  text += "\"end\":1}";
  const auto body = *parse_body(text);
  EXPECT_EQ(body.size(), 400'001u);
  EXPECT_EQ(field(body, "end"), 1);
  EXPECT_TRUE(field(body, "absent").is_null());
}

TEST(JsonBody, DeepNestingIsRefusedAtOnce) {
  EXPECT_EQ(wrong("{\"a\":" + repeat("[", 10'000'000)), "the request is nested more than 64 deep");
  EXPECT_EQ(wrong(repeat("{\"a\":", 100'000)), "the request is nested more than 64 deep");
  EXPECT_EQ(wrong("{\"a\":" + repeat("[", 63) + repeat("]", 63) + "}"), "fine");
}

TEST(JsonBody, ManyTinyValuesAreRefused) {
  EXPECT_EQ(wrong("{\"a\":[" + repeat("0,", 5'000'000) + "0]}"), "the request has more than 4194304 values");
  EXPECT_EQ(wrong("{\"a\":[" + repeat("0,", 1'000'000) + "0]}"), "fine");
}

TEST(JsonBody, FieldsNameThemselvesWhenTheyAreWrong) {
  const auto body =
      *parse_body(R"({"s":"x","b":true,"i":7,"big":18446744073709551615,"f":1.5,"nothing":null})");
  EXPECT_EQ(*text_field(body, "s"), "x");
  EXPECT_EQ(*text_field(body, "absent"), "");
  EXPECT_EQ(*text_field(body, "nothing"), "");
  EXPECT_EQ(text_field(body, "i").error().message, "\"i\" must be a string");
  EXPECT_TRUE(*flag_field(body, "b", false));
  EXPECT_TRUE(*flag_field(body, "absent", true));
  EXPECT_EQ(flag_field(body, "s", true).error().message, "\"s\" must be true or false");
  EXPECT_EQ(*integer_field(body, "i", 0, 0, 7), 7);
  EXPECT_EQ(*integer_field(body, "absent", 3, 5, 7), 3);
  for (const char* name : {"i", "big", "f", "s"})
    EXPECT_EQ(integer_field(body, name, 0, -2, 6).error().message,
              std::string("\"") + name + "\" must be an integer between -2 and 6");
}

}  // namespace
}  // namespace quipu::runner

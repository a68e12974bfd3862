#include "chat/template_detect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "base/test_data.h"
#include "chat/go_template.h"

namespace quipu {
namespace {

using Json = nlohmann::ordered_json;

TEST(TemplateDetect, Vectors) {
  size_t n = 0;
  for (const std::string& line :
       test::lines(test::read_xz(std::string(QUIPU_TESTDATA) + "/go-template/detect.jsonl.xz"))) {
    const Json c = Json::parse(line);
    const auto found = detect_template(c["jinja"].get<std::string>());
    ASSERT_EQ(found.has_value(), c.contains("name")) << c["case"];
    ++n;
    if (!found) continue;
    EXPECT_EQ(found->name, c["name"].get<std::string>()) << c["case"];
    EXPECT_EQ(found->stop, c["stop"].get<std::vector<std::string>>()) << c["case"];
    EXPECT_TRUE(GoTemplate::parse(found->go_template)) << c["case"];
    EXPECT_FALSE(found->go_template.empty()) << c["case"];
  }
  EXPECT_GT(n, 140u);
}

// The whole table, without a band.
size_t plain_distance(std::u32string_view a, std::u32string_view b) {
  std::vector<size_t> above(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::vector<size_t> row(b.size() + 1, i);
    for (size_t j = 1; j <= b.size(); ++j)
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
    above = std::move(row);
  }
  return above[b.size()];
}

TEST(TemplateDetect, DistanceAgainstThePlainTable) {
  std::mt19937 random(7);
  const auto text = [&](size_t most) {
    std::u32string s(random() % (most + 1), U'a');
    for (char32_t& c : s) c = U'a' + random() % 3;
    return s;
  };
  for (int i = 0; i < 3000; ++i) {
    const std::u32string a = text(12), b = text(12);
    const size_t distance = plain_distance(a, b);
    for (size_t limit = 0; limit < 15; ++limit) {
      const auto d = edit_distance(a, b, limit);
      ASSERT_EQ(d.has_value(), distance < limit);
      if (d) {
        ASSERT_EQ(*d, distance);
      }
    }
  }
}

TEST(TemplateDetect, CharactersCountNotBytes) {
  EXPECT_EQ(edit_distance(U"größe", U"grosse", 10), 3u);
  std::string chatml = detect_template(
                           "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
                           "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}")
                           ->name;
  EXPECT_EQ(chatml, "chatml");
  // 99 characters of two bytes each in front of a known text.
  std::string known;
  for (const std::string& line :
       test::lines(test::read_xz(std::string(QUIPU_TESTDATA) + "/go-template/detect.jsonl.xz"))) {
    const Json c = Json::parse(line);
    if (c["case"] == "known-24") known = c["jinja"].get<std::string>();
  }
  ASSERT_FALSE(known.empty());
  std::string front;
  for (int i = 0; i < 99; ++i) front += "ß";
  EXPECT_EQ(detect_template(front + known)->name, "llama3-instruct");
  EXPECT_FALSE(detect_template("ß" + front + known));
}

TEST(TemplateDetect, HugeAndOddTexts) {
  EXPECT_FALSE(detect_template(std::string(4 << 20, '{')));
  EXPECT_FALSE(detect_template(""));
  EXPECT_FALSE(detect_template("\xff\xfe"));
}

}  // namespace
}  // namespace quipu

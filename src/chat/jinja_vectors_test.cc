// Every rule and every conversation that the reference implementation was recorded with, byte for byte.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/test_data.h"
#include "chat/jinja.h"

namespace quipu {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kNow = 1751619903;  // 2025-07-04 09:05:03

const std::string kFolder = std::string(QUIPU_TESTDATA) + "/jinja/";

// Checks one vector; what stands before it says which.
void check(const std::string& name, const Result<jinja::Template>& parsed, const Json& context,
           const Json& vector) {
  Result<std::string> rendered = std::unexpected(Error{});
  if (parsed)
    rendered = parsed->render(context, kNow);
  else
    rendered = std::unexpected(parsed.error());
  if (vector.contains("expected")) {
    ASSERT_TRUE(rendered) << name << ": " << rendered.error().message;
    EXPECT_EQ(*rendered, vector["expected"].get<std::string>()) << name;
    return;
  }
  const Json& error = vector["error"];
  ASSERT_FALSE(rendered) << name << ": gives " << *rendered << " instead of " << error.dump();
  EXPECT_EQ(parsed.has_value(), error["when"] == "render") << name << ": " << rendered.error().message;
  EXPECT_FALSE(rendered.error().message.empty()) << name;
  if (error["type"] == "TemplateError") {
    EXPECT_EQ(rendered.error().message, error["message"].get<std::string>()) << name;
    EXPECT_EQ(rendered.error().code, Code::kInvalidArgument) << name;
  } else {
    EXPECT_EQ(rendered.error().code, Code::kCorrupt) << name;
  }
}

size_t check_rules(const std::string& rules) {
  const Json context = Json::parse(test::read_file(kFolder + "rules-context.json"))["context"];
  size_t n = 0;
  for (const std::string& line : test::lines(rules)) {
    const Json rule = Json::parse(line);
    const std::string source = rule["template"].get<std::string>();
    check(source, jinja::Template::parse(source), context, rule);
    ++n;
  }
  return n;
}

TEST(JinjaVectors, Rules) { EXPECT_EQ(check_rules(test::read_file(kFolder + "rules.jsonl")), 205u); }
TEST(JinjaVectors, MoreRules) {
  EXPECT_GT(check_rules(test::read_xz(kFolder + "more-rules.jsonl.xz")), 3000u);
}

TEST(JinjaVectors, ConversationsOfRealTemplates) {
  std::map<std::string, Result<jinja::Template>> templates;
  for (const std::string& line : test::lines(test::read_xz(kFolder + "templates.jsonl.xz"))) {
    const Json t = Json::parse(line);
    templates.emplace(t["template"].get<std::string>(),
                      jinja::Template::parse(t["source"].get<std::string>()));
  }
  EXPECT_EQ(templates.size(), 109u);
  size_t n = 0;
  for (const std::string& line : test::lines(test::read_xz(kFolder + "cases.jsonl.xz"))) {
    const Json c = Json::parse(line);
    const std::string name = c["template"].get<std::string>();
    check(name + ", " + c["case"].get<std::string>(), templates.at(name), c["context"], c);
    ++n;
  }
  EXPECT_EQ(n, 6104u);
}

}  // namespace
}  // namespace quipu

// Every rule, conversation and tag that the reference implementation was recorded with, byte for byte.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/test_data.h"
#include "chat/go/text.h"
#include "chat/go_chat.h"

namespace quipu {
namespace {

using Json = nlohmann::ordered_json;
using gotmpl::Program;
using gotmpl::Value;

constexpr int64_t kNow = 1751619903;  // 2025-07-04 09:05:03 UTC

const std::string kFolder = std::string(QUIPU_TESTDATA) + "/go-template/";

void check_rule(const Json& rule, const Value& shared_data) {
  const std::string source = rule["template"].get<std::string>();
  const auto program = Program::parse(source);
  const bool fails_early = rule.contains("error") && rule["when"] == "parse";
  if (fails_early) {
    ASSERT_FALSE(program) << source;
    EXPECT_EQ(program.error().message, rule["error"].get<std::string>()) << source;
    EXPECT_EQ(program.error().code, Code::kCorrupt) << source;
    return;
  }
  ASSERT_TRUE(program) << source << "\n" << program.error().message;
  const Value data = rule.contains("data") ? Value::of_json(rule["data"], true) : shared_data;
  std::string out;
  const auto result = program->execute(data, kNow, out);
  if (rule.contains("expected")) {
    ASSERT_TRUE(result) << source << "\n" << result.error().message;
    EXPECT_EQ(gotmpl::to_valid_utf8(out), rule["expected"].get<std::string>()) << source;
    return;
  }
  ASSERT_FALSE(result) << source << "\n" << out;
  EXPECT_EQ(result.error().message, rule["error"].get<std::string>()) << source;
  EXPECT_EQ(gotmpl::to_valid_utf8(out), rule["written"].get<std::string>()) << source;
}

// Days are those of UTC.
void set_time_zone() {
  setenv("TZ", "UTC", 1);
  tzset();
}

size_t check_rules(const std::string& rules) {
  set_time_zone();
  const Value data = Value::of_json(Json::parse(test::read_file(kFolder + "rules-data.json")), true);
  size_t n = 0;
  for (const std::string& line : test::lines(rules)) {
    check_rule(Json::parse(line), data);
    ++n;
  }
  return n;
}

TEST(GoVectors, Rules) { EXPECT_EQ(check_rules(test::read_file(kFolder + "rules.jsonl")), 176u); }
TEST(GoVectors, MoreRules) { EXPECT_GT(check_rules(test::read_xz(kFolder + "more-rules.jsonl.xz")), 3000u); }

std::map<std::string, GoTemplate> read_templates() {
  std::map<std::string, GoTemplate> out;
  for (const std::string& line : test::lines(test::read_xz(kFolder + "templates.jsonl.xz"))) {
    const Json t = Json::parse(line);
    auto parsed = GoTemplate::parse(t["source"].get<std::string>());
    EXPECT_TRUE(parsed) << t["template"] << ": " << parsed.error().message;
    if (parsed) out.emplace(t["template"].get<std::string>(), std::move(*parsed));
  }
  return out;
}

Message message_of(const Json& json) {
  const auto text = [&](const char* key) { return json.value(key, std::string()); };
  Message m{.role = text("role"), .content = text("content"), .thinking = text("thinking")};
  m.n_images = json.contains("images") ? json["images"].size() : 0;
  if (json.contains("tool_calls")) m.tool_calls = json["tool_calls"];
  m.tool_name = text("tool_name");
  m.tool_call_id = text("tool_call_id");
  return m;
}

Think think_of(const Json& c) {
  if (!c.contains("think")) return Think::absent();
  if (c["think"].is_string()) return Think::at(c["think"].get<std::string>());
  return c["think"].get<bool>() ? Think::yes() : Think::off();
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += by.size())
    text.replace(at, part.size(), by);
  return text;
}

TEST(GoVectors, Conversations) {
  set_time_zone();
  const auto templates = read_templates();
  EXPECT_EQ(templates.size(), 36u);
  size_t n = 0;
  for (const std::string& line : test::lines(test::read_xz(kFolder + "cases.jsonl.xz"))) {
    const Json c = Json::parse(line);
    const std::string name = c["template"].get<std::string>() + ", " + c["case"].get<std::string>();
    std::vector<Message> messages;
    for (const Json& m : c["messages"]) messages.push_back(message_of(m));
    GoChatInput input{.messages = messages, .think = think_of(c), .now_unix = kNow};
    if (c.contains("tools")) input.tools = &c["tools"];
    input.prompt = c.value("prompt", std::string());
    input.suffix = c.value("suffix", std::string());
    const auto prompt = render_go_chat(templates.at(c["template"].get<std::string>()), input);
    ASSERT_TRUE(prompt) << name << ": " << prompt.error().message;
    const std::string expected = replaced(replaced(c["expected"].get<std::string>(), "{TODAY}", "2025-07-04"),
                                          "{YESTERDAY}", "2025-07-03");
    EXPECT_EQ(*prompt, expected) << name;
    ++n;
  }
  EXPECT_EQ(n, 2016u);
}

TEST(GoVectors, Tags) {
  const auto templates = read_templates();
  size_t n = 0;
  for (const std::string& line : test::lines(test::read_file(kFolder + "tags.jsonl"))) {
    const Json tags = Json::parse(line);
    const GoTemplate& t = templates.at(tags["template"].get<std::string>());
    EXPECT_EQ(t.identifiers(), tags["vars"].get<std::vector<std::string>>()) << tags["template"];
    EXPECT_EQ(t.tool_tag(), tags["tool_tag"].get<std::string>()) << tags["template"];
    EXPECT_EQ(t.thinking_tags().open, tags["think_open"].get<std::string>()) << tags["template"];
    EXPECT_EQ(t.thinking_tags().close, tags["think_close"].get<std::string>()) << tags["template"];
    ++n;
  }
  EXPECT_EQ(n, 36u);
}

}  // namespace
}  // namespace quipu

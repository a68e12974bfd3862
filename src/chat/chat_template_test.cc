#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "base/test_data.h"

namespace quipu {
namespace {

const std::vector<Message> kConversation = {
    {"system", "Be brief."}, {"user", "Hi"}, {"assistant", "Hello."}, {"user", "Größe?"}};

TEST(ChatTemplate, WithoutASourceItIsChatMl) {
  const auto t = ChatTemplate::create("", "<s>", "</s>");
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_EQ(
      t->render(kConversation, {.add_generation_prompt = true}).value(),
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
      "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nGröße?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(t->render(std::span(kConversation).first(1), {.add_generation_prompt = false}).value(),
            "<|im_start|>system\nBe brief.<|im_end|>\n");
  EXPECT_EQ(t->render({}, {.add_generation_prompt = false}).value(), "");
}

std::string template_of(const std::string& name) {
  for (const std::string& line :
       test::lines(test::read_xz(std::string(QUIPU_TESTDATA) + "/jinja/templates.jsonl.xz"))) {
    const auto t = nlohmann::json::parse(line);
    if (t["template"] == name) return t["source"].get<std::string>();
  }
  return {};
}

TEST(ChatTemplate, SmolLm2) {
  const auto t =
      ChatTemplate::create(template_of("gguf-SmolLM2-135M-Instruct.jinja"), "<|im_start|>", "<|im_end|>");
  ASSERT_TRUE(t) << t.error().message;
  const std::vector<Message> question = {{"user", "What is gravity?"}};
  EXPECT_EQ(
      t->render(question, {}).value(),
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
      "<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(
      t->render(kConversation, {}).value(),
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
      "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nGröße?<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, WhatTheTemplateSees) {
  setenv("TZ", "TEST-2", 1);  // two hours ahead of UTC
  tzset();
  const auto t = ChatTemplate::create(
      "{{ bos_token }}{{ eos_token }} {{ tools is defined }} {{ tools is none }} {{ documents is none }} "
      "{{ add_generation_prompt }} {{ messages | length }} {{ messages[0] | tojson }} {{ strftime_now('%F "
      "%H:%M') }}",
      "<s>", "</s>");
  ASSERT_TRUE(t);
  EXPECT_EQ(
      t->render(kConversation, {.add_generation_prompt = false, .now_unix = 1751619903}).value(),
      "<s></s> True True True False 4 {\"role\": \"system\", \"content\": \"Be brief.\"} 2025-07-04 11:05");
}

TEST(ChatTemplate, ToolsThinkingAndTheRestOfAMessage) {
  using Json = nlohmann::ordered_json;
  std::vector<Message> messages = {{"assistant", "", "hm"}, {"tool", "4"}, {"user", "x"}};
  messages[0].tool_calls = Json::parse(
      R"([{"function": {"index": 0, "name": "f", "arguments": {"z": 1, "a": "<"}}, "id": "c1"}])");
  messages[1].tool_name = "f";
  messages[1].tool_call_id = "c1";
  const auto all = ChatTemplate::create("{{ messages | tojson }}", "", "");
  ASSERT_TRUE(all);
  EXPECT_EQ(
      all->render(messages, {}).value(),
      R"([{"role": "assistant", "content": "", "reasoning_content": "hm", "thinking": "hm", )"
      R"("tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": "<"}}}]}, )"
      R"({"role": "tool", "content": "4", "name": "f", "tool_name": "f", "tool_call_id": "c1"}, )"
      R"({"role": "user", "content": "x"}])");

  const auto flags = ChatTemplate::create(
      "{{ tools | tojson }} {{ enable_thinking is defined }} {{ enable_thinking }} {{ reasoning_effort }}",
      "", "");
  ASSERT_TRUE(flags);
  const Json tools = Json::parse(R"([{"type": "function", "function": {"name": "f", "b": 1, "a": 2}}])");
  EXPECT_EQ(flags->render({}, {.tools = &tools, .think = Think::at("high")}).value(),
            R"([{"type": "function", "function": {"name": "f", "b": 1, "a": 2}}] True True high)");
  EXPECT_EQ(flags->render({}, {.think = Think::yes()}).value(), "null True True ");
  EXPECT_EQ(flags->render({}, {.think = Think::off()}).value(), "null True False ");
  EXPECT_EQ(flags->render({}, {}).value(), "null False  ");
  const Json none = Json::array();
  EXPECT_EQ(flags->render({}, {.tools = &none}).value(), "null False  ");

  const Json deep = Json::parse(std::string(10'000, '[') + std::string(10'000, ']'));
  EXPECT_EQ(flags->render({}, {.tools = &deep}).error().code, Code::kInvalidArgument);
}

TEST(ChatTemplate, WhatItRefusesIsSaidInItsOwnWords) {
  const auto t = ChatTemplate::create(template_of("google-gemma-2-2b-it.jinja"), "<bos>", "<eos>");
  ASSERT_TRUE(t);
  const auto r = t->render(kConversation, {});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message, "System role not supported");
  EXPECT_EQ(r.error().code, Code::kInvalidArgument);
}

TEST(ChatTemplate, AMistakeInTheTemplateIsAnErrorWithItsLine) {
  const auto t = ChatTemplate::create("{{ messages[0].content }}\n\n{% if %}", "", "");
  ASSERT_FALSE(t);
  EXPECT_EQ(t.error().code, Code::kCorrupt);
  EXPECT_NE(t.error().message.find("line 3"), std::string::npos) << t.error().message;
  EXPECT_NE(t.error().message.find("Expected an expression"), std::string::npos) << t.error().message;
}

TEST(ChatTemplate, InvalidUtf8FromARequestIsReplaced) {
  const auto t = ChatTemplate::create("", "", "");
  const std::vector<Message> messages = {{"user", "a\xff\xc3(b"}};
  EXPECT_EQ(t->render(messages, {.add_generation_prompt = false}).value(),
            "<|im_start|>user\na\xef\xbf\xbd\xef\xbf\xbd(b<|im_end|>\n");
}

TEST(ChatTemplate, OneTemplateServesManyRenders) {
  const auto t =
      ChatTemplate::create("{% set ns = namespace(n=0) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}", "", "");
  ASSERT_TRUE(t);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(t->render(kConversation, {}).value(), "1");
}

}  // namespace
}  // namespace quipu

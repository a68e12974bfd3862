#include "server/native/messages.h"

#include <gtest/gtest.h>

namespace quipu::server::native {
namespace {

store::ModelInfo model() {
  store::ModelInfo m;
  m.system = "You are helpful.";
  m.messages =
      nlohmann::json::parse(R"([{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}])");
  return m;
}

std::vector<std::string> roles_and_contents(const Json& body) {
  std::vector<std::string> out;
  for (const Json& m : body["messages"])
    out.push_back(m["role"].get<std::string>() + "=" + m["content"].get<std::string>());
  return out;
}

Json chat_body(const std::string& text, const store::ModelInfo& m) {
  const Json request = Json::parse(text);
  const auto in = read_chat_input(Fields(request, "ChatRequest"));
  EXPECT_TRUE(in) << in.error().message;
  Json body = Json::object();
  if (in) add_messages(body, *in, m);
  return body;
}

TEST(Messages, TheModelsOwnComeFirst) {
  EXPECT_EQ(roles_and_contents(chat_body(R"({"messages":[{"role":"USER","content":"x"}]})", model())),
            (std::vector<std::string>{"system=You are helpful.", "user=hi", "assistant=hello", "user=x"}));
  // A client's system message replaces the model's, and stays where it is.
  EXPECT_EQ(roles_and_contents(chat_body(
                R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"x"}]})", model())),
            (std::vector<std::string>{"user=hi", "assistant=hello", "system=s", "user=x"}));
}

TEST(Messages, WhatOnlyOursHave) {
  Json body = chat_body(R"({"messages":[{"role":"user","content":"x"}]})", model());
  EXPECT_FALSE(body.contains("drop_messages"));
  EXPECT_FALSE(body.contains("template"));
  body = chat_body(R"({"messages":[{"role":"user","content":"x"}],"truncate":false,
      "quipu":{"drop_messages":true,"template":"{{ .Prompt }}"}})",
                   model());
  EXPECT_EQ(body["drop_messages"], true);
  EXPECT_EQ(body["template"].dump(), R"({"kind":"go","text":"{{ .Prompt }}"})");
  const Json wrong = Json::parse(R"({"quipu":{"drop_messages":1}})");
  EXPECT_FALSE(read_chat_input(Fields(wrong, "ChatRequest")));
}

TEST(Messages, TheFilesTemplateStandsInForABuiltInRenderer) {
  store::ModelInfo m = model();
  m.go_template = "{{ .Prompt }}";
  m.template_source = store::TemplateSource::kRenderer;
  const char* const request = R"({"messages":[{"role":"user","content":"x"}]})";
  auto facts = std::make_shared<store::GgufFacts>();
  m.facts = facts;
  EXPECT_TRUE(chat_body(request, m).contains("template"));
  facts->chat_template = "{{ messages }}";
  EXPECT_FALSE(chat_body(request, m).contains("template"));
  m.template_source = store::TemplateSource::kGo;
  EXPECT_TRUE(chat_body(request, m).contains("template"));
}

TEST(Messages, Prompts) {
  GenerateInput in;
  in.prompt = "P";
  Json body = Json::object();
  add_prompt(body, in, model());
  EXPECT_EQ(roles_and_contents(body),
            (std::vector<std::string>{"system=You are helpful.", "user=hi", "assistant=hello", "user=P"}));
  EXPECT_EQ(body["return_context"], true);

  in.context = {1, 2};
  in.system = "other";
  body = Json::object();
  add_prompt(body, in, model());
  EXPECT_EQ(roles_and_contents(body), (std::vector<std::string>{"system=other", "user=P"}));
  EXPECT_EQ(body["context"], Json({1, 2}));

  in = {};
  in.prompt = "P";
  in.raw = true;
  body = Json::object();
  add_prompt(body, in, model());
  EXPECT_EQ(body, Json({{"raw", true}, {"prompt", "P"}}));

  in.raw = false;
  in.suffix = "S";
  in.template_text = "{{ .Suffix }}";
  body = Json::object();
  add_prompt(body, in, model());
  EXPECT_EQ(body["suffix"], "S");
  EXPECT_EQ(body["template"], Json({{"kind", "go"}, {"text", "{{ .Suffix }}"}}));
}

TEST(Messages, WhichTemplate) {
  auto m = model();
  GenerateInput in;
  in.prompt = "P";
  Json body = Json::object();
  add_prompt(body, in, m);
  EXPECT_EQ(body["template"]["text"], "{{ .Prompt }}");  // none anywhere: the bare prompt
  EXPECT_FALSE(chat_body(R"({"messages":[{"role":"user","content":"x"}]})", m).contains("template"));
  m.template_source = store::TemplateSource::kGo;
  m.go_template = "T";
  EXPECT_EQ(chat_body(R"({"messages":[{"role":"user","content":"x"}]})", m)["template"],
            Json({{"kind", "go"}, {"text", "T"}}));
  m.template_source = store::TemplateSource::kJinja;
  EXPECT_FALSE(chat_body(R"({"messages":[{"role":"user","content":"x"}]})", m).contains("template"));
}

TEST(Messages, ToolCallsKeepTheirOrder) {
  const Json body = chat_body(
      R"({"messages":[{"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"z":1,"a":"<"}}}]},
          {"role":"tool","content":"r","tool_name":"f","tool_call_id":"c1"}]})",
      store::ModelInfo());
  EXPECT_EQ(
      body["messages"][0].dump(),
      R"({"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"z":1,"a":"<"}}}]})");
  EXPECT_EQ(body["messages"][1]["tool_name"], "f");
}

TEST(Messages, ThoughtsBeforeTheLastQuestionAreForgottenWhereTheFamilySaysSo) {
  store::ModelInfo m;
  const std::string text =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"<think>x</think>\n b"},
          {"role":"user","content":"c"},{"role":"assistant","content":"<think>y</think>d"}]})";
  EXPECT_EQ(chat_body(text, m)["messages"][1]["content"], "<think>x</think>\n b");
  m.config.model_family = "qwen3";
  EXPECT_EQ(chat_body(text, m)["messages"][1]["content"], "b");
  EXPECT_EQ(chat_body(text, m)["messages"][3]["content"], "<think>y</think>d");
}

TEST(Messages, NullIsAnEmptyElement) {
  const Json body =
      chat_body(R"({"messages":[null,{"role":"assistant","tool_calls":[null]}],"tools":[null]})", {});
  EXPECT_EQ(body["messages"][0].dump(), R"({"role":"","content":""})");
  EXPECT_EQ(body["messages"][1]["tool_calls"].dump(), R"([{"function":{}}])");
  EXPECT_EQ(body["tools"].dump(), "[{}]");
  const Json request = Json::parse(R"({"prompt":"x","context":[1,null]})");
  EXPECT_EQ(read_generate_input(Fields(request, "GenerateRequest"))->context, (std::vector<int64_t>{1, 0}));
}

TEST(Messages, Errors) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({"messages":"hi"})",
       "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"},
      {R"({"messages":[{"role":"user","content":5}]})",
       "json: cannot unmarshal number into Go struct field ChatRequest.messages.content of type string"},
      {R"({"messages":[{"tool_calls":[{"function":{"name":5}}]}]})",
       "json: cannot unmarshal number into Go struct field ChatRequest.messages.tool_calls.function.name of "
       "type "
       "string"},
      {R"({"messages":[],"tools":"x"})",
       "json: cannot unmarshal string into Go struct field ChatRequest.tools of type api.Tools"},
      {R"({"messages":[{"role":"user","images":["@@"]}]})", "illegal base64 data at input byte 0"},
      {R"({"messages":[{"role":"user","images":["AAA"]}]})", "illegal base64 data at input byte 3"},
      {R"({"messages":[{"role":"user","images":["AA==AA=="]}]})", "illegal base64 data at input byte 4"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]})",
       "Value looks like object, but can't find closing '}' symbol"}};
  for (const auto& [text, message] : bad) {
    const Json request = Json::parse(text);
    const auto in = read_chat_input(Fields(request, "ChatRequest"));
    ASSERT_FALSE(in) << text;
    EXPECT_EQ(in.error().message, message);
  }
}

}  // namespace
}  // namespace quipu::server::native

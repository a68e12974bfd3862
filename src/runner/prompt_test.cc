#include "runner/prompt.h"

#include "runner/test_model.h"

namespace quipu::runner {
namespace {

using Json = nlohmann::json;

constexpr const char* kTemplate = "{% for m in messages %}<{{ m['role'][0] }}>{{ m['content'] }}{% endfor %}";
// As many real templates do: questions and answers take turns, and a question comes first.
constexpr const char* kStrict =
    "{% for m in messages if m['role'] != 'system' %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<{{ m['role'][0] }}>{{ m['content'] }}{% endfor "
    "%}";

class PromptTest : public test::WithModel {
 protected:
  static Json message(const char* role, const std::string& content) {
    return {{"role", role}, {"content", content}};
  }

  static Result<Prompt> make(const Json& body, int64_t n_ctx, int64_t num_keep = 4, bool shift = true) {
    GenerateOptions options;
    options.n_ctx = n_ctx;
    options.num_keep = num_keep;
    options.shift = shift;
    return make_prompt(model(), body, options);
  }

  static std::string text(const Prompt& p) { return model().tokenizer()->decode(p.tokens, false, true); }

  // What is left of a conversation of single letters; each message is four tokens long.
  static std::string fitted(const Json& messages, int64_t n_ctx, const char* chat_template = kTemplate) {
    const auto p = make({{"messages", messages}, {"template", chat_template}}, n_ctx);
    if (!p) return p.error().message;
    const auto system =
        std::count_if(messages.begin(), messages.end(), [](const Json& m) { return m["role"] == "system"; });
    EXPECT_LE(system, static_cast<int64_t>(messages.size()) - p->dropped_messages);
    return text(*p) + " -" + std::to_string(p->dropped_messages);
  }

  static Json conversation() {
    return {message("system", "S"), message("user", "a"),      message("assistant", "b"),
            message("user", "c"),   message("assistant", "d"), message("user", "e")};
  }
};

TEST_F(PromptTest, AMessageGoesThroughTheTemplate) {
  const auto p = make({{"prompt", "Hello"}, {"system", "Be brief."}, {"template", kTemplate}}, 100);
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_EQ(text(*p), "<s>Be brief.<u>Hello");
  EXPECT_EQ(p->dropped_messages, 0);
  EXPECT_EQ(p->dropped_tokens, 0);
  const auto own = make({{"prompt", "Hello"}}, 100);  // the file's template
  ASSERT_TRUE(own);
  EXPECT_EQ(
      text(*own),
      "<|start_of_role|>user<|end_of_role|>Hello<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>");
  EXPECT_EQ(own->tokens.size(), 5u + 4 + 5 + 1 + 9) << "the control tokens are one token each";
}

TEST_F(PromptTest, RawTextIsTakenAsItIs) {
  const auto p = make(
      {{"prompt", "<|end_of_text|>{{ 1 }}"}, {"raw", true}, {"system", "no"}, {"template", kTemplate}}, 100);
  ASSERT_TRUE(p);
  EXPECT_EQ(text(*p), "<|end_of_text|>{{ 1 }}");
}

TEST_F(PromptTest, TheOldestMessagesGoFirst) {
  const Json c = conversation();
  EXPECT_EQ(fitted(c, 25), "<s>S<u>a<a>b<u>c<a>d<u>e -0");
  EXPECT_EQ(fitted(c, 24), "<s>S<a>b<u>c<a>d<u>e -1") << "one place stays free for the answer";
  EXPECT_EQ(fitted(c, 17), "<s>S<u>c<a>d<u>e -2");
  EXPECT_EQ(fitted(c, 16), "<s>S<a>d<u>e -3");
  EXPECT_EQ(fitted(c, 9), "<s>S<u>e -4") << "the system message stays";
}

TEST_F(PromptTest, ALaterSystemMessageStaysToo) {
  const Json c = {message("user", "a"), message("system", "S"), message("user", "b"), message("user", "c")};
  EXPECT_EQ(fitted(c, 13), "<s>S<u>b<u>c -1");
  EXPECT_EQ(fitted(c, 12), "<s>S<u>c -2");
}

TEST_F(PromptTest, WhatTheTemplateRefusesIsPassedOver) {
  const Json c = conversation();
  EXPECT_EQ(fitted(c, 100, kStrict), "<u>a<a>b<u>c<a>d<u>e -0");
  EXPECT_EQ(fitted(c, 20, kStrict), "<u>c<a>d<u>e -2") << "not from the answer <a>b on";
  EXPECT_EQ(fitted(c, 12, kStrict), "<u>e -4");
  EXPECT_EQ(fitted({message("assistant", "x"), message("user", "y")}, 100, kStrict), "roles must alternate");
}

TEST_F(PromptTest, ManyMessagesAreFittedAtTheRightPlace) {
  Json c = Json::array({message("system", "S")});
  for (int i = 0; i < 500; ++i)
    c.push_back(message(i % 2 == 0 ? "user" : "assistant", std::string(1, static_cast<char>('a' + i % 26))));
  for (const int64_t kept : {1, 2, 3, 100, 499}) {
    const auto p = make({{"messages", c}, {"template", kTemplate}}, 4 * (kept + 1) + 1);
    ASSERT_TRUE(p);
    EXPECT_EQ(p->dropped_messages, 500 - kept);
    EXPECT_EQ(static_cast<int64_t>(p->tokens.size()), 4 * (kept + 1));
  }
}

TEST_F(PromptTest, ALastMessageThatIsTooLongIsCutOrRefused) {
  const Json c = {message("system", "S"), message("user", "first"), message("user", "0123456789")};
  const Json body = {{"messages", c}, {"template", kTemplate}};
  // "<s>S<u>0123456789" has 17 tokens. 4 stay at the start; of 12 places (12 - 4) / 2 = 4 are left to the
  // answer.
  const auto cut = make(body, 12);
  ASSERT_TRUE(cut);
  EXPECT_EQ(text(*cut), "<s>S6789");
  EXPECT_EQ(cut->dropped_messages, 1);
  EXPECT_EQ(cut->dropped_tokens, 9);
  EXPECT_EQ(text(*make(body, 12, 0)), "456789");
  EXPECT_EQ(text(*make(body, 12, -1)), "<s>S<u>0123") << "the whole prompt is to stay: its start does";
  EXPECT_EQ(text(*make(body, 12, 1000)), "<s>S<u>0123");

  Json strict = body;
  strict["truncate"] = false;
  for (const auto& refused : {make(strict, 12), make(body, 12, 4, false)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    EXPECT_EQ(refused.error().message,
              "the prompt has 17 tokens, but num_ctx is 12: at most 11 fit; shorten it or raise num_ctx");
  }
  EXPECT_EQ(make(strict, 17).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(make(strict, 18));
}

TEST_F(PromptTest, TruncationHoldsForEveryContext) {
  for (int64_t n_ctx = 4; n_ctx < 40; ++n_ctx)
    for (const int64_t keep : {-1, 0, 1, 4, 20, 38, 1000}) {
      const auto p = make({{"prompt", std::string(200, 'x')}, {"raw", true}}, n_ctx, keep);
      ASSERT_TRUE(p);
      const auto n = static_cast<int64_t>(p->tokens.size());
      EXPECT_GE(n, 1);
      EXPECT_LT(n, n_ctx);
      EXPECT_EQ(n + p->dropped_tokens, 200);
    }
}

TEST_F(PromptTest, WithoutAContextOfItsOwnTheModelsCounts) {
  Json body = {{"prompt", std::string(300, 'x')}, {"raw", true}, {"truncate", false}};
  EXPECT_NE(make(body, 0).error().message.find("num_ctx is 256"), std::string::npos);
}

TEST_F(PromptTest, WrongRequestsAreNamed) {
  const auto wrong = [](const char* body) {
    const auto p = make(Json::parse(body), 100);
    if (p) return std::string("fine");
    EXPECT_EQ(p.error().code, Code::kInvalidArgument) << body;
    return p.error().message;
  };
  EXPECT_EQ(wrong(R"({"prompt":1})"), "\"prompt\" must be a string");
  EXPECT_EQ(wrong(R"({"prompt":"x","raw":"yes"})"), "\"raw\" must be true or false");
  EXPECT_EQ(wrong(R"({"prompt":"x","truncate":0})"), "\"truncate\" must be true or false");
  EXPECT_EQ(wrong(R"({"prompt":"x","system":[]})"), "\"system\" must be a string");
  EXPECT_EQ(wrong(R"({"prompt":"x","template":7})"), "\"template\" must be a string");
  EXPECT_EQ(wrong(R"({"messages":{}})"), "\"messages\" must be an array");
  EXPECT_EQ(wrong(R"({"messages":[]})"), "\"messages\" is empty");
  EXPECT_EQ(wrong(R"({"messages":["x"]})"), "a message must be an object with role and content");
  EXPECT_EQ(wrong(R"({"messages":[{"content":"x"}]})"), "a message needs a role");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user","content":5}]})"), "\"content\" must be a string");
  EXPECT_EQ(wrong(R"({"prompt":"","raw":true})"), "the prompt is empty");
  EXPECT_EQ(wrong(R"({})"), "fine") << "an empty question, but the template makes a prompt of it";
}

TEST_F(PromptTest, ABadTemplateIsTheRequestsFault) {
  EXPECT_FALSE(make({{"prompt", "x"}, {"template", "{% if %}"}}, 100));
  EXPECT_EQ(
      make({{"prompt", "x"}, {"template", "{{ raise_exception('no such role') }}"}}, 100).error().message,
      "no such role");
  EXPECT_FALSE(
      make({{"prompt", "x"}, {"template", "{% for i in range(100000000) %}{{ i }}{% endfor %}"}}, 100))
      << "bounded";
}

}  // namespace
}  // namespace quipu::runner

#include "runner/prompt.h"

#include "runner/test_model.h"

namespace quipu::runner {
namespace {

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
    UnknownOptions unknown;
    QUIPU_ASSIGN(GenerateCall call, read_generate(body, model().model().n_vocab(), unknown));
    call.options.n_ctx = n_ctx;
    call.options.num_keep = num_keep;
    call.options.shift = shift;
    TemplateCache templates(model().tokenizer());
    Patience patience([] {}, [] { return false; });
    if (call.render_only) return render_prompt(model(), templates, call.prompt, call.options, patience);
    return make_prompt(model(), templates, call.prompt, call.options, patience);
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

TEST_F(PromptTest, WhereMessagesEnd) {
  const Tokenizer& tok = *model().tokenizer();
  using Ends = std::vector<int64_t>;
  const auto chat =
      make({{"messages", conversation()}}, 200);  // each ends with a control token and a newline
  ASSERT_TRUE(chat);
  const int64_t s = 8 + 1 + 1, u = 1 + 6 + 1 + 1,
                a = 1 + 11 + 1 + 1;  // to the end, the newline before included
  EXPECT_EQ(message_ends(tok, chat->tokens),
            (Ends{s, s + u, s + u + a, s + 2 * u + a, s + 2 * (u + a), s + 3 * u + 2 * a}));
  const auto one = make({{"prompt", "Hello"}}, 100);
  ASSERT_TRUE(one);
  EXPECT_EQ(message_ends(tok, one->tokens), Ends{6 + 5 + 1});
  // Nothing that looks like one, and the very last token.
  EXPECT_EQ(message_ends(tok, tok.encode("end of text\n", true, true)), Ends{});
  EXPECT_EQ(message_ends(tok, tok.encode("ab<|end_of_text|>", true, true)), Ends{3});
  EXPECT_EQ(message_ends(tok, tok.encode("ab<|end_of_text|>", true, false)), Ends{});
  // Where BOS is the token that ends answers, too, no message ends before the first.
  EXPECT_EQ(message_ends(tok, tok.encode("<|end_of_text|>ab<|end_of_text|>", true, true)), Ends{4});
  EXPECT_EQ(message_ends(tok, {}), Ends{});
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

  const auto refused = make(body, 12, 4, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_EQ(
      refused.error().message,
      "the prompt is longer than the context length currently available to the model; shorten the prompt, "
      "adjust the context length in settings, or use a model with a longer context length");
}

TEST_F(PromptTest, WithoutTruncationNothingIsDropped) {
  const Json c = {message("system", "S"), message("user", "first"), message("user", "0123456789")};
  const Json body = {{"messages", c}, {"template", kTemplate}, {"truncate", false}};
  const auto refused = make(body, 25);
  ASSERT_FALSE(refused) << "without the first question it would fit";
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_EQ(refused.error().message,
            "the prompt has 25 tokens, but num_ctx is 25: at most 24 fit; shorten it or raise num_ctx");
  Json long_body = body;
  long_body["messages"][2]["content"] = std::string(9000, '0');
  EXPECT_NE(make(long_body, 8191).error().message.find("; shorten it or raise num_ctx"), std::string::npos);
  EXPECT_TRUE(make(long_body, 8192)
                  .error()
                  .message.ends_with("at most 8191 fit; shorten it: the model was trained for no more"))
      << "num_ctx cannot be raised";
  EXPECT_TRUE(make(body, 26));
  EXPECT_EQ(make(body, 6).error().message.substr(0, 34), "the prompt has 25 tokens, but num_");
  Json dropping = body;
  dropping["drop_messages"] = true;  // but not cut
  EXPECT_EQ(make(dropping, 25)->dropped_messages, 1);
  EXPECT_FALSE(make(dropping, 6));
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
  EXPECT_EQ(wrong(R"({"prompt":"x","template":7})"),
            "\"template\" must be a string, or an object with kind and text");
  EXPECT_EQ(wrong(R"({"prompt":"x","template":{"text":"x"}})"),
            "the kind of a template is \"go\" or \"jinja\"");
  EXPECT_EQ(
      wrong(R"({"prompt":"x","think":"ultra"})"),
      "invalid think value: \"ultra\" (must be \"high\", \"medium\", \"low\", \"max\", true, or false)");
  EXPECT_EQ(wrong(R"({"prompt":"x","think":1})"),
            "think must be a boolean or string (\"high\", \"medium\", \"low\", \"max\", true, or false)");
  EXPECT_EQ(wrong(R"({"prompt":"x","tools":{}})"), "\"tools\" must be an array");
  EXPECT_EQ(wrong(R"({"prompt":"x","context":[259]})"), "\"context\" must be token ids between 0 and 258");
  EXPECT_EQ(wrong(R"({"prompt":"x","top_logprobs":21})"),
            "\"top_logprobs\" must be an integer between 0 and 20");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user","tool_calls":{}}]})"), "\"tool_calls\" must be an array");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user","tool_calls":[1]}]})"),
            "a tool call must be an object with a function");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user","tool_calls":[{"function":{"arguments":"{}"}}]}]})"),
            "the \"arguments\" of a tool call must be an object");
  EXPECT_EQ(wrong(R"({"messages":{}})"), "\"messages\" must be an array");
  EXPECT_EQ(wrong(R"({"messages":[]})"), "\"messages\" is empty");
  EXPECT_EQ(wrong(R"({"messages":["x"]})"), "a message must be an object with role and content");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user","content":5}]})"), "\"content\" must be a string");
  EXPECT_EQ(wrong(R"({"prompt":"","raw":true})"), "the prompt is empty");
  EXPECT_EQ(wrong(R"({})"), "fine") << "an empty question, but the template makes a prompt of it";
}

TEST_F(PromptTest, WhatIsNotSupportedIsSaid) {
  for (const char* body :
       {R"({"prompt":"x","format":"json"})", R"({"prompt":"x","format":{"type":"object"}})",
        R"({"prompt":"x","images":["aGk="]})",
        R"({"messages":[{"role":"user","content":"x","images":["aGk="]}]})", R"({"prompt":"x","suffix":"y"})",
        R"({"prompt":"x","suffix":"y","template":"{{ messages }}"})"}) {
    const auto p = make(Json::parse(body), 100);
    ASSERT_FALSE(p) << body;
    EXPECT_EQ(p.error().code, Code::kUnsupported) << body;
  }
  for (const char* body : {R"({"prompt":"x","format":""})", R"({"prompt":"x","format":null,"images":[]})",
                           R"({"prompt":"","suffix":"y"})", R"({"prompt":"x","suffix":""})"})
    EXPECT_TRUE(make(Json::parse(body), 100)) << body;
}

TEST_F(PromptTest, TemplatesSeeToolsAndThinking) {
  constexpr const char* kAll =
      "{% if tools %}{{ tools | tojson }}{% endif %}{% if enable_thinking is defined %}[{{ enable_thinking }}"
      "{% if reasoning_effort is defined %} {{ reasoning_effort }}{% endif %}]{% endif %}"
      "{% for m in messages %}<{{ m.role }}>{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif "
      "%}"
      "{{ m.content }}{% for c in m.tool_calls %}{{ c.id }}:{{ c.function.name }}{{ c.function.arguments | "
      "tojson }}"
      "{% endfor %}{% if m.name %}={{ m.name }}/{{ m.tool_call_id }}{% endif %}{% endfor %}";
  const auto rendered = [&](const char* body) {
    Json b = Json::parse(body);
    b["template"] = {{"kind", "jinja"}, {"text", kAll}};
    const auto p = make(b, 250);
    return p ? p->text : p.error().message;
  };
  EXPECT_EQ(rendered(R"({"prompt":"x"})"), "<user>x");
  EXPECT_EQ(rendered(R"({"prompt":"x","tools":[]})"), "<user>x");
  EXPECT_EQ(rendered(R"({"prompt":"x","tools":[{"z":1,"a":2}]})"), R"([{"z": 1, "a": 2}]<user>x)");
  EXPECT_EQ(rendered(R"({"prompt":"x","think":true})"), "[True]<user>x");
  EXPECT_EQ(rendered(R"({"prompt":"x","think":false})"), "[False]<user>x");
  EXPECT_EQ(rendered(R"({"prompt":"x","think":"high"})"), "[True high]<user>x");
  EXPECT_EQ(rendered(R"({"messages":[{"role":"user","content":"q"},
      {"role":"assistant","thinking":"hm","tool_calls":[{"id":"c1","function":{"index":0,"name":"f",
       "arguments":{"z":1,"city":"Paris"}}},{"function":{"name":"g"}}]},
      {"role":"tool","content":"r","tool_name":"f","tool_call_id":"c1"}]})"),
            R"(<user>q<assistant>(hm)c1:f{"z": 1, "city": "Paris"}:g{}<tool>r=f/c1)");
}

Json go(const char* text) { return {{"kind", "go"}, {"text", text}}; }

TEST_F(PromptTest, GoTemplatesAsOllamaRunsThem) {
  const auto rendered = [&](Json body, const char* text) {
    body["template"] = go(text);
    const auto p = make(body, 250);
    return p ? p->text : p.error().message;
  };
  const Json c = conversation();
  EXPECT_EQ(rendered({{"messages", c}}, "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"),
            "<system>S<user>a<assistant>b<user>c<assistant>d<user>e");
  EXPECT_EQ(rendered({{"messages", c}}, "[{{ .System }}|{{ .Prompt }}|{{ .Response }}]"), "[S|a|b][|c|d][|e|")
      << "a run for each turn";
  EXPECT_EQ(rendered({{"prompt", "x"}, {"system", "S"}, {"think", "high"}},
                     "{{ .System }} {{ .Prompt }} {{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}"),
            "S x true high true");
  EXPECT_EQ(
      rendered({{"prompt", "x"}, {"tools", {{{"type", "function"}, {"function", {{"name", "f"}}}}}}},
               "{{ range .Tools }}{{ .Function.Name }}{{ end }}{{ range .Messages }}{{ .Content }}{{ end }}"),
      "fx");
  EXPECT_EQ(rendered({{"prompt", "x"}, {"suffix", "y"}}, "<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>"),
            "<PRE>x<SUF>y<MID>");
  EXPECT_EQ(rendered({{"prompt", "x"}}, "{{ .Foo"), "template: :1: unclosed action");
  EXPECT_EQ(make({{"prompt", "x"}, {"template", go("{{ .Foo")}}, 100).error().code, Code::kCorrupt);
}

TEST_F(PromptTest, OldMessagesGoFromGoTemplatesToo) {
  const auto p =
      make({{"messages", conversation()},
            {"template", go("{{ range .Messages }}<{{ slice .Role 0 1 }}>{{ .Content }}{{ end }}")}},
           17);
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_EQ(text(*p), "<s>S<u>c<a>d<u>e");
  EXPECT_EQ(p->dropped_messages, 2);
}

TEST_F(PromptTest, ThinkingIsToldApartWhereTheTemplateSaysHow) {
  constexpr const char* kThinks =
      "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ end }}";
  const auto tags = [&](Json body) {
    const auto p = make(body, 250);
    EXPECT_TRUE(p) << p.error().message;
    return p && p->thinking ? p->thinking->open + p->thinking->close : "none";
  };
  const Json body = {{"prompt", "x"}, {"template", go(kThinks)}};
  EXPECT_EQ(tags(body), "none") << "nobody asked";
  Json thinks = body;
  thinks["think"] = true;
  EXPECT_EQ(tags(thinks), "<think></think>");
  thinks["raw"] = true;
  EXPECT_EQ(tags(thinks), "<think></think>");
  thinks["think"] = false;
  EXPECT_EQ(tags(thinks), "none");
  EXPECT_EQ(tags({{"prompt", "x"}, {"think", true}, {"template", go("{{ .Prompt }}")}}), "none");
  EXPECT_EQ(tags({{"prompt", "x"}, {"think", true}}), "none");
}

TEST_F(PromptTest, AContextsTextGoesInFront) {
  // As they come from a client, where every number that is not negative is unsigned.
  const Json ids =
      Json::parse(Json(model().tokenizer()->encode("before<|end_of_text|>", false, true)).dump());
  const auto p = make({{"prompt", "x"}, {"template", kTemplate}, {"context", ids}}, 100);
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_EQ(text(*p), "before<|end_of_text|><u>x");
  EXPECT_EQ(p->text, "before<|end_of_text|><u>x");
  EXPECT_EQ(p->tokens.size(), 6u + 1 + 4) << "the control token is one token again";
  EXPECT_EQ(make({{"prompt", "x"}, {"raw", true}, {"context", ids}}, 100)->text, "before<|end_of_text|>x");
  // It counts for the cut, not for the dropping of messages.
  const Json c = {message("user", "a"), message("user", "b")};
  const auto cut = make({{"messages", c}, {"template", kTemplate}, {"context", ids}}, 14, 0);
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->dropped_messages, 0);
  EXPECT_EQ(text(*cut), "u>a<u>b") << "half of the context stays free";
}

TEST_F(PromptTest, RenderedOnlyNothingIsCut) {
  Json body = {{"prompt", std::string(300, 'x')}, {"raw", true}, {"render_only", true}};
  const auto p = make(body, 12);
  ASSERT_TRUE(p);
  EXPECT_EQ(p->tokens.size(), 300u);
  EXPECT_EQ(p->text, std::string(300, 'x'));
  EXPECT_EQ(p->dropped_tokens, 0);
  const Json c = {message("user", "a"), message("user", "b"), message("user", "c")};
  const auto dropped = make({{"messages", c}, {"template", kTemplate}, {"render_only", true}}, 9);
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->text, "<u>b<u>c");
  EXPECT_EQ(dropped->dropped_messages, 1);
}

// Whatever it is: the client has gone, or it has taken too long.
TEST_F(PromptTest, MakingItEndsWhenNobodyWants) {
  const TemplateText slow[] = {
      {TemplateKind::kJinja,
       "{% for i in range(100000) %}{% for j in range(1000) %}{% set x = i * j %}{% endfor %}{% endfor %}"},
      {TemplateKind::kGo,
       "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}{{ .Prompt }}{{ .Response }}"}};
  for (const TemplateText& chat : slow) {
    TemplateCache templates(model().tokenizer());
    GeneratePrompt request;
    request.prompt = "x";
    request.chat_template = chat;
    int asked = 0;
    Patience patience([] {}, [&] { return ++asked > 3; });
    const auto p = make_prompt(model(), templates, request, {}, patience);
    ASSERT_FALSE(p);
    EXPECT_EQ(p.error().code, Code::kCancelled) << p.error().message;
    EXPECT_LT(asked, 10);
  }
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

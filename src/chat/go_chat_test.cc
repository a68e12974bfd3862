#include "chat/go_chat.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace quipu {
namespace {

using Json = nlohmann::ordered_json;

Result<std::string> render(const std::string& source, const GoChatInput& input) {
  const auto t = GoTemplate::parse(source);
  if (!t) return std::unexpected(t.error());
  return render_go_chat(*t, input);
}

const std::vector<Message> kConversation = {
    {"system", "You are helpful."}, {"user", "hi"}, {"assistant", "hello"}, {"user", "PROMPT"}};

std::string rendered(const std::string& source, const GoChatInput& input = {.messages = kConversation}) {
  const auto r = render(source, input);
  return r ? *r : "error: " + r.error().message;
}

// Observed with Ollama 0.32.
TEST(GoChat, GoldenCases) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"[{{ .Foo }}] {{ .Prompt }}", "[<no value>] hihello[<no value>] PROMPT"},
      {"{{ .System }}|{{ .Prompt }}", "You are helpful.|hihello|PROMPT"},
      {"{{ .Prompt }}|{{ .Response }}|tail", "hi|hello|tailPROMPT|"},
      {"{{ if .Response }}R:{{ .Response }}{{ end }}{{ .Prompt }}", "R:hellohi"},
      {"{{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}",
       "system=You are helpful.;user=hi;assistant=hello;user=PROMPT;"},
      {"{{ .System }}{{ range $i,$m := .Messages }}{{ $i }}:{{ $m.Role }} {{ end }}",
       "You are helpful.0:system 1:user 2:assistant 3:user "},
      {"{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }} {{ .Prompt }}",
       "false  false hihellofalse  false PROMPT"},
      {"{{ with .Prompt }}{{ . }}{{ else with .System }}x{{ end }}", "hihelloPROMPT"},
      {"{{ range $i, $_ := .Messages }}{{ if eq $i 1 }}{{ break }}{{ end }}{{ .Role }}{{ end }}", "system"},
      {"{{ len .Messages }} {{ index .Messages 0 }}", "4 {system You are helpful.  [] []  }"},
      {"{{/* c */}}{{- .Prompt -}}   x", "hixhelloPROMPTx"},
      {"{{ $x := 1 }}{{ $x = 2 }}{{ $x }}{{ .Prompt }}", "2hihello2PROMPT"},
      {"<PRE> {{ .Prompt }} <SUF>{{ .Suffix }} <MID>",
       "<PRE> hi <SUF><no value> <MID>hello<PRE> PROMPT <SUF><no value> <MID>"},
      {"{{ define \"a\" }}A{{ end }}{{ template \"a\" }}", "error: undefined template specified"},
      {"{{ block \"b\" . }}x{{ end }}",
       "error: template: :1:9: executing \"\" at <{{template \"b\" .}}>: template \"b\" not defined"},
      {"{{ .Nope.Deep }}",
       "error: template: :1:8: executing \"\" at <.Nope.Deep>: nil pointer evaluating interface {}.Deep"},
      {"{{ nofunc }}", "error: template: :1: function \"nofunc\" not defined"},
      {"{{ .Foo", "error: template: :1: unclosed action"},
      {"{{ range .Messages }}{{ .Nope }}{{ end }}",
       "error: template: :1:24: executing \"\" at <.Nope>: can't evaluate field Nope in type "
       "*template.templateMessage"},
  };
  for (const auto& [source, expected] : cases) EXPECT_EQ(rendered(source), expected) << source;
  const std::vector<Message> one = {{"user", "hi"}};
  EXPECT_EQ(
      rendered("{{ printf \"%-5s|\" .Prompt }} {{ \"a\" | printf \"%q\" }} {{ html \"<\" }} {{ js \"<\" }} "
               "{{ urlquery \"a b\" }} {{ lt 1 2 }} {{ not true }} {{ and 1 0 }} {{ or 0 2 }} "
               "{{ print 1 2 \"x\" }} {{ slice \"abcdef\" 1 3 }}",
               {.messages = one}),
      "hi   | \"a\" &lt; \\u003C a+b true false 0 2 1 2x bc");
}

TEST(GoChat, BlocksWorkInTheChatForm) {
  EXPECT_EQ(rendered("{{ block \"b\" .Messages }}{{ len . }}{{ end }}"), "4");
  EXPECT_EQ(
      rendered(
          "{{ define \"m\" }}<{{ .Role }}>{{ end }}{{ range .Messages }}{{ template \"m\" . }}{{ end }}"),
      "<system><user><assistant><user>");
}

// Turn by turn; the last turn ends where the model's answer begins.
TEST(GoChat, LegacyForm) {
  const std::string three = "{{ .System }}/{{ .Prompt }}/{{ .Response }};";
  const auto run = [&](const std::vector<Message>& messages) {
    return rendered(three, {.messages = messages});
  };
  EXPECT_EQ(run({}), "//");
  EXPECT_EQ(run({{"user", "a"}}), "/a/");
  EXPECT_EQ(run({{"system", "s"}, {"user", "a"}, {"assistant", "b"}, {"user", "c"}}), "s/a/b;/c/");
  EXPECT_EQ(run({{"assistant", "b"}, {"user", "c"}}), "//b;/c/");
  EXPECT_EQ(run({{"user", "a"}, {"system", "s"}, {"user", "c"}}), "/a/;s/c/");
  EXPECT_EQ(run({{"user", "a"}, {"assistant", "b"}}), "/a/b");
  EXPECT_EQ(run({{"user", "a"}, {"tool", "t"}, {"critic", "x"}, {"assistant", "b"}}), "/a/b");
  EXPECT_EQ(run({{"system", "s"}, {"system", "t"}, {"user", "a"}}), "s\n\nt/a/");
  // Functions work in the last turn too.
  setenv("TZ", "UTC", 1);
  tzset();
  const std::vector<Message> one = {{"user", "a"}};
  EXPECT_EQ(rendered("{{ json .Prompt }} {{ currentDate }}", {.messages = one, .now_unix = 1751619903}),
            "\"a\" 2025-07-04");
}

TEST(GoChat, SuffixForm) {
  const std::string source =
      "{{ if .Suffix }}<P>{{ .Prompt }}<S>{{ .Suffix }}<M>{{ else }}{{ .Prompt }}{{ end }}{{ .Response }}"
      "{{ .System }}{{ .IsThinkSet }}";
  EXPECT_EQ(rendered(source, {.prompt = "a", .suffix = "b"}), "<P>a<S>b<M><no value>false");
  // Both have to be there.
  EXPECT_EQ(rendered(source, {.messages = std::span(kConversation).first(2), .prompt = "a"}), "hi");
  EXPECT_EQ(
      rendered("{{ range .Messages }}x{{ else }}{{ .Prompt }}{{ end }}", {.prompt = "a", .suffix = "b"}),
      "a");
}

TEST(GoChat, Collation) {
  const std::string source =
      "{{ .System }}|{{ range .Messages }}[{{ .Role }}:{{ .Content }}{{ with .Thinking }}({{ . }}){{ end "
      "}}]{{ end }}";
  std::vector<Message> messages = {{"System", "s"},         {"user", "a"},           {"USER", "b"},
                                   {"assistant", "c", "t"}, {"assistant", "d", "u"}, {"tool", "1"},
                                   {"tool", "2"},           {"system", "z"}};
  EXPECT_EQ(rendered(source, {.messages = messages}),
            "s\n\nz|[system:s][user:a\n\nb][assistant:c\n\nd(t)][tool:1][tool:2][system:z]");
  EXPECT_EQ(rendered(source, {}), "|");
  EXPECT_EQ(rendered("{{ .Messages }} {{ json .Messages }} {{ if .Messages }}x{{ end }}", {}), "[] null ");
}

TEST(GoChat, ImageMarks) {
  const std::string source = "{{ range .Messages }}{{ .Content }}|{{ len .Images }};{{ end }}";
  std::vector<Message> messages = {
      {"user", "a [img] b [img] c"}, {"assistant", "d"}, {"user", "e [img] [img]"}};
  messages[0].n_images = 3;
  messages[2].n_images = 1;
  EXPECT_EQ(rendered(source, {.messages = messages}),
            "[img-2]a [img-0] b [img-1] c|3;d|0;e [img-3] [img]|1;");
  messages = {{"user", "a"}, {"user", "[img]b"}};
  messages[0].n_images = 2;
  messages[1].n_images = 1;
  EXPECT_EQ(rendered(source, {.messages = messages}), "[img-0][img-1]a\n\n[img-2]b|2;");
  EXPECT_EQ(rendered("{{ .Prompt }}", {.messages = messages}), "[img-0][img-1]a\n\n[img-2]b");
}

TEST(GoChat, Think) {
  const std::string source = "{{ .Think }}/{{ .ThinkLevel }}/{{ .IsThinkSet }}{{ if .Messages }}{{ end }}";
  EXPECT_EQ(rendered(source, {}), "false//false");
  EXPECT_EQ(rendered(source, {.think = Think::off()}), "false//true");
  EXPECT_EQ(rendered(source, {.think = Think::yes()}), "true/medium/true");
  EXPECT_EQ(rendered(source, {.think = Think::at("high")}), "true/high/true");
}

const Json kTools = Json::parse(R"([{"type": "function", "extra": 1, "function": {
  "name": "f", "parameters": {"type": "object", "$defs": {"b": 1, "a": [2.50]}, "required": ["z", "a"], "properties": {
    "z": {"type": ["string", "null"], "description": "<d>", "enum": ["x", 1, null], "default": 5},
    "a": {"anyOf": [{"type": "integer"}, {"type": "array"}], "items": {"type": "string", "format": "date"}},
    "o": {"type": "object", "properties": {"y": {"type": "boolean"}, "b": {}}, "required": ["y"]}}}}}])");

std::string with_tools(const std::string& source) {
  return rendered(source + "{{ if .Messages }}{{ end }}", {.messages = kConversation, .tools = &kTools});
}

TEST(GoChat, ToolsAsText) {
  const std::string json =
      R"({"type":"function","function":{"name":"f","description":"","parameters":{"type":"object",)"
      R"("$defs":{"a":[2.5],"b":1},"required":["z","a"],"properties":{)"
      R"("a":{"anyOf":[{"type":"integer"},{"type":"array"}],"items":{"format":"date","type":"string"}},)"
      R"("o":{"type":"object","properties":{"y":{"type":"boolean"},"b":{}},"required":["y"]},)"
      R"("z":{"type":["string","null"],"description":"\u003cd\u003e","enum":["x",1,null]}}}}})";
  EXPECT_EQ(with_tools("{{ .Tools }}"), "[" + json + "]");
  EXPECT_EQ(with_tools("{{ json .Tools }}"), "[" + json + "]");
  EXPECT_EQ(with_tools("{{ range .Tools }}{{ . }}{{ end }}"), json);
  EXPECT_EQ(with_tools("{{ (index .Tools 0).Function.Parameters.Required }}"), "[z a]");
  EXPECT_EQ(with_tools("{{ range $n, $p := (index .Tools 0).Function.Parameters.Properties }}"
                       "{{ $n }}:{{ $p.Type }}:{{ toTypeScriptType $p }}:{{ len $p.Enum }} {{ end }}"),
            "a::number | any[]:0 o:object:Record<string, any>:0 z:[string null]:string | null:3 ");
  EXPECT_EQ(rendered("{{ .Tools }} {{ json .Tools }} {{ len .Tools }} {{ if .Messages }}{{ end }}", {}),
            "null null 0 ");
  EXPECT_EQ(with_tools("{{ range .Tools }}{{ .Items }}{{ .Function.Parameters.Items }}{{ end }}"),
            "<no value><no value>");
}

TEST(GoChat, ToolCallsAsText) {
  std::vector<Message> messages = {{"assistant", ""}};
  messages[0].tool_calls = Json::parse(
      R"([{"id": "c1", "function": {"index": 1, "name": "f", "arguments": {"z": 1, "a": "<x>", "n": 1e21}}},
          {"function": {"name": "g", "arguments": {}}}, {"function": {"name": "h"}}])");
  messages[0].tool_name = "n";
  messages[0].tool_call_id = "i";
  const auto run = [&](const std::string& body) {
    return rendered("{{ range .Messages }}" + body + "{{ end }}", {.messages = messages});
  };
  EXPECT_EQ(run("{{ range .ToolCalls }}{{ .ID }} {{ .Function.Index }} {{ .Function.Name }} "
                "{{ .Function.Arguments }};{{ end }}{{ .ToolName }}{{ .ToolCallID }}"),
            R"(c1 1 f {"a":"\u003cx\u003e","n":1e+21,"z":1}; 0 g {}; 0 h {};ni)");
  EXPECT_EQ(
      run("{{ (index .ToolCalls 0).Function.Arguments.z }} {{ (index .ToolCalls 0).Function.Arguments.q }}"),
      "1 <no value>");
  EXPECT_EQ(run("{{ index .ToolCalls 1 }} {{ json (index .ToolCalls 2) }}"),
            R"({ {0 g {}}} {"ID":"","Function":{"Index":0,"Name":"h","Arguments":null}})");
}

TEST(GoChat, WhatARequestGetsWrong) {
  const auto with = [](const char* tools) {
    const Json json = Json::parse(tools);
    const auto r = render("{{ .Tools }}{{ .Messages }}", {.tools = &json});
    EXPECT_FALSE(r) << tools;
    if (r) return std::string();
    EXPECT_EQ(r.error().code, Code::kInvalidArgument);
    return r.error().message;
  };
  EXPECT_EQ(with("{}"), "\"tools\" must be a list");
  EXPECT_EQ(with("[1]"), "\"tools[0]\" must be an object");
  EXPECT_EQ(with(R"([{}, {"type": 1}])"), "\"tools[1].type\" must be a string");
  EXPECT_EQ(with(R"([{"function": {"parameters": {"required": ["a", 1]}}}])"),
            "\"tools[0].function.parameters.required\" must be a list of strings");
  EXPECT_EQ(with(R"([{"function": {"parameters": {"properties": {"p": {"enum": {}}}}}}])"),
            "\"tools[0].function.parameters.properties.p.enum\" must be a list");
  std::vector<Message> messages = {{"assistant", ""}};
  messages[0].tool_calls = Json::parse(R"([{"function": {"arguments": "{}"}}])");
  const auto r = render("{{ .Messages }}", {.messages = messages});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message, "\"messages[0].tool_calls[0].function.arguments\" must be an object");
}

}  // namespace
}  // namespace quipu

#include <gtest/gtest.h>

#include "chat/go_template.h"

namespace quipu {
namespace {

using Names = std::vector<std::string>;

GoTemplate parsed(const std::string& source) {
  auto t = GoTemplate::parse(source);
  EXPECT_TRUE(t) << source << ": " << t.error().message;
  return std::move(*t);
}

TEST(GoInspect, Identifiers) {
  EXPECT_EQ(parsed("{{ .Messages.ÄB }}{{ $.Tools }}").identifiers(), (Names{"$", "messages", "tools", "äb"}));
  EXPECT_EQ(parsed("{{ if .A }}{{ .B }}{{ else if .C }}{{ .D }}{{ else }}{{ .E }}{{ end }}"
                   "{{ with .F }}{{ .G }}{{ else with .H }}{{ end }}{{ range $i, $x := .Messages }}{{ $x.J "
                   "}}{{ end }}")
                .identifiers(),
            (Names{"$x", "a", "b", "c", "d", "e", "f", "g", "h", "j", "messages"}));
  EXPECT_EQ(parsed("{{ define \"t\" }}{{ .Inner }}{{ end }}{{ template \"t\" .Messages }}").identifiers(),
            (Names{"inner", "messages"}));
  EXPECT_EQ(parsed("{{ printf \"%s\" (index .Messages 0).Content (len .Tools) | .Response }}").identifiers(),
            (Names{"response", "tools"}));
  // A template that could print no answer prints it at its end.
  EXPECT_EQ(parsed("{{ .Prompt }}").identifiers(), (Names{"prompt", "response"}));
  EXPECT_EQ(parsed("").identifiers(), (Names{"response"}));
  EXPECT_TRUE(parsed("{{ .Suffix }}").uses("suffix"));
  EXPECT_FALSE(parsed("{{ .Suffix }}").uses("tools"));
}

TEST(GoInspect, ThinkingTags) {
  const auto tags = [](const std::string& body) {
    const gotmpl::ThinkingTags t = parsed("{{ range .Messages }}" + body + "{{ end }}").thinking_tags();
    return t.open + "…" + t.close;
  };
  EXPECT_EQ(tags("{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"), "<think>…</think>");
  EXPECT_EQ(tags("{{ if .Thinking }} \n<a>\n{{ .Thinking }}\n</a> {{ end }}"), "<a>…</a>");
  EXPECT_EQ(tags("x{{ if true }}<a>{{ .Thinking }}</a>{{ end }}y"), "<a>…</a>");
  EXPECT_EQ(tags("<a>{{ .Thinking }}</a>{{ with .Content }}<b>{{ $.Thinking }}</b>{{ end }}"), "<a>…");
  EXPECT_EQ(tags("<a>{{ .Thinking }}</a>{{ if .Content }}<b>{{ .Thinking.X }}</b>{{ end }}"), "<b>…</b>");
  EXPECT_EQ(tags("{{ if .Content }}x{{ else if .Thinking }}<a>{{ json (.Thinking) }}</a>{{ end }}"),
            "<a>…</a>");
  EXPECT_EQ(tags("{{ if .Content }}{{ else if .Thinking }}{{ end }}"), "…");
  EXPECT_EQ(tags("{{ range .ToolCalls }}<a>{{ .Thinking }}</a>{{ end }}"), "…");
  EXPECT_EQ(tags("{{ range $.Messages }}<a>{{ .Thinking }}</a>{{ end }}"), "…");
  EXPECT_EQ(tags("{{ $m := . }}<a>{{ $m.Thinking }}</a>"), "…");
  EXPECT_EQ(parsed("<a>{{ .Thinking }}</a>{{ .Messages }}").thinking_tags().open, "");
  EXPECT_EQ(
      parsed("{{ range $i, $m := slice .Messages 1 }}<a>{{ .Thinking }}</a>{{ end }}").thinking_tags().close,
      "</a>");
  EXPECT_FALSE(parsed("{{ range .Messages }}<a>{{ .Thinking }}{{ end }}").has_thinking_tags());
}

TEST(GoInspect, ToolTag) {
  const auto tag = [](const std::string& source) { return parsed(source + "{{ .Messages }}").tool_tag(); };
  EXPECT_EQ(tag(""), "{");
  EXPECT_EQ(tag("{{ if .ToolCalls }}<tool_call>{\"name\"{{ end }}"), "<tool_call>");
  EXPECT_EQ(tag("{{ if .ToolCalls }} \n {{ range .ToolCalls }} [TOOL_CALLS] [{{ end }}{{ end }}"),
            "[TOOL_CALLS] [");
  EXPECT_EQ(tag("{{ if .ToolCalls }} {{ .X }}<t>{{ end }}"), "{");
  EXPECT_EQ(tag("{{ if .ToolCalls }}{\"name\"{{ end }}"), "{");
  EXPECT_EQ(
      tag("{{ if .A }}{{ range .B }}{{ else }}{{ if gt (len .ToolCalls) 0 }}<no>{{ end }}{{ end }}{{ else if "
          "and .C .D.ToolCalls }}<yes>{{ end }}"),
      "<yes>");
  EXPECT_EQ(tag("{{ with .A }}{{ else }}{{ if .ToolCalls }}<t>{{ end }}{{ end }}"), "<t>");
  EXPECT_EQ(tag("{{ if .ToolCalls }}{{ if .A }}{{ else if .B }}<b>{{ end }}<c>{{ end }}"), "<b>");
  EXPECT_EQ(tag("{{ if .ToolCalls }}{{ if .A }} {{ end }}<c>{{ end }}"), "{");
  EXPECT_EQ(tag("{{ if .ToolCalls }}a\r\nb\r{{ end }}"), "a\nb");
  EXPECT_EQ(tag("{{ with .ToolCalls }}<t>{{ end }}"), "{");
}

std::string until_response(const std::string& source) {
  using gotmpl::Value;
  std::string out;
  const auto text = [](const char* s) { return Value::string(s).boxed(); };
  const Value data = Value::map(gotmpl::kAnyMapType, {{"Prompt", text("P")}, {"Response", text("R")}});
  const GoTemplate t = parsed(source);
  gotmpl::Budget budget(t.limits());
  const auto r = t.execute(data, 0, out, budget, GoTemplate::Part::kUntilResponse);
  return r ? out : "error: " + r.error().message;
}

TEST(GoInspect, TheCutBehindResponse) {
  EXPECT_EQ(until_response("a{{ .Response }}b{{ .Prompt }}"), "aR");
  EXPECT_EQ(until_response("{{ .Prompt }}"), "PR");
  EXPECT_EQ(until_response("{{ if .Response }}[{{ .Response }}]{{ .Prompt }}{{ end }}x"), "[R");
  EXPECT_EQ(until_response("{{ if not .Prompt }}[{{ .Response }}]{{ else }}y{{ end }}x"), "");
  EXPECT_EQ(until_response("{{ if not .Prompt }}[{{ .Response }}]{{ else if true }}y{{ end }}x"), "");
  EXPECT_EQ(until_response("{{ if false }}1{{ else }}{{ .Response }}2{{ end }}3"), "R");
  EXPECT_EQ(until_response("{{ with .Prompt }}{{ . }}{{ $.Response }}{{ end }}b"),
            "PRb");  // $.Response is no field
  EXPECT_EQ(until_response("{{ $r := .Response }}b{{ $r }}"), "");
  EXPECT_EQ(until_response("{{ printf \"%s%s\" .Response .Prompt }}b"), "R%!s(MISSING)");
  EXPECT_EQ(until_response("a{{ .Response | json }}b"), "a");
  EXPECT_EQ(until_response("a{{ print (.Response) .Prompt }}b"), "aR");
  EXPECT_EQ(until_response("a{{ print 1 (.Response | json) }}b"), "a1");
  EXPECT_EQ(until_response("{{ range 2 }}x{{ $.Response }}{{ end }}{{ .Response }}"), "xRxRR");
  EXPECT_EQ(until_response("{{ .Messages }}"), "<no value>");
}

}  // namespace
}  // namespace quipu

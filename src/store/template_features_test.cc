#include "store/template_features.h"

#include <gtest/gtest.h>

namespace quipu::store {
namespace {

TEST(TemplateFeatures, OfJinja) {
  EXPECT_TRUE(jinja_template_features("{% if tools %}").tools);
  EXPECT_TRUE(jinja_template_features("<tool_call>").tools);
  EXPECT_FALSE(jinja_template_features("{{ messages }}").tools);
  EXPECT_TRUE(jinja_template_features("<think>{{ x }}</think>").thinking);
  EXPECT_FALSE(jinja_template_features("</think>").thinking);
  EXPECT_TRUE(jinja_template_features("{{ content.split('</think>')[-1] }}").thinking);
  EXPECT_FALSE(
      jinja_template_features("{{ content.split('</think>')[-1] }}{{ m.reasoning_content }}").thinking);
  EXPECT_TRUE(jinja_template_features("{% if m.tool_calls %}{% elif m['role'] == 'tool' %}").tool_round_trip);
  EXPECT_FALSE(jinja_template_features("{% if m.tool_calls %}").tool_round_trip);
}

TEST(TemplateFeatures, OfGo) {
  EXPECT_TRUE(go_template_features("{{ if .Tools }}{{ end }}").tools);
  EXPECT_TRUE(go_template_features("{{ range $.Tools }}{{ end }}").tools);
  EXPECT_FALSE(go_template_features(".Tools {{ .Prompt }}").tools);
  EXPECT_FALSE(go_template_features("{{ .ToolCalls }}").tools);
  EXPECT_TRUE(go_template_features("{{ .Prompt }}{{ .Suffix }}").insert);
  EXPECT_TRUE(go_template_features("{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ "
                                   "end }}{{ .Content }}{{ end }}")
                  .thinking);
  EXPECT_FALSE(
      go_template_features("{{ range .Messages }}{{ if .Thinking }}{{ .Thinking }}{{ end }}{{ end }}")
          .thinking);
  EXPECT_FALSE(go_template_features("{{ .Prompt }}").thinking);
  EXPECT_TRUE(
      go_template_features("{{ if .Tools }}{{ .ToolCalls }}{{ if eq .Role \"tool\" }}{{ end }}{{ end }}")
          .tool_round_trip);
}

TEST(TemplateFeatures, TheFilesOwnTemplateWhereItOffersMore) {
  const TemplateFeatures none, tools{.tools = true}, round{.tools = true, .tool_round_trip = true},
      both{.tools = true, .thinking = true},
      both_round{.tools = true, .thinking = true, .tool_round_trip = true}, insert{.insert = true};
  EXPECT_FALSE(prefer_jinja(none, none));
  EXPECT_TRUE(prefer_jinja(tools, none));
  EXPECT_FALSE(prefer_jinja(none, tools));
  EXPECT_FALSE(prefer_jinja(tools, tools));
  EXPECT_TRUE(prefer_jinja(round, tools));
  EXPECT_FALSE(prefer_jinja(both, round));  // more, but the round trip would be lost
  EXPECT_TRUE(prefer_jinja(both_round, round));
  EXPECT_FALSE(prefer_jinja(round, insert));  // as many, but others
  EXPECT_FALSE(prefer_jinja(insert, round));
}

}  // namespace
}  // namespace quipu::store

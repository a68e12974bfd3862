#include "cli/run_arguments.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/run_options.h"

namespace quipu::cli {

namespace {

Result<RunArguments> parse(std::vector<std::string> args) {
  QUIPU_ASSIGN(const Arguments a, parse_arguments(*find_command("run"), args));
  return read_run_arguments(a);
}

std::string refusal(std::vector<std::string> args) {
  const auto r = parse(args);
  return r ? "accepted" : r.error().message;
}

TEST(RunArguments, ModelAndPromptWords) {
  const auto a = parse({"m.gguf", "Why", "is it", "--verbose", "blue?"});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->model, "m.gguf");
  EXPECT_EQ(a->prompt, "Why is it blue?");
  EXPECT_TRUE(a->has_prompt);
  EXPECT_TRUE(a->verbose);
  EXPECT_FALSE(parse({"m", "--verbose"})->has_prompt);
  EXPECT_TRUE(parse({"m", ""})->has_prompt);
}

TEST(RunArguments, TextArrivesAsWritten) {
  EXPECT_EQ(parse({"m", "[1, 2]"})->prompt, "[1, 2]");
  EXPECT_EQ(parse({"m", "{}"})->prompt, "{}");
  EXPECT_EQ(parse({"m", "%%"})->prompt, "%%");
  EXPECT_EQ(parse({"m", "- a list"})->prompt, "- a list");
  EXPECT_EQ(parse({"m", "-5 + 3"})->prompt, "-5 + 3");
  EXPECT_EQ(parse({"m", "--", "--not", "-a", "flag"})->prompt, "--not -a flag");
  EXPECT_EQ(parse({"m", "--stop", "[/INST]", "--stop=--"})->options["stop"], Json::array({"[/INST]", "--"}));
  EXPECT_EQ(parse({"m", "--system", "--x"})->system, "--x");
  EXPECT_EQ(parse({"m", "--system="})->system, "");
}

TEST(RunArguments, EveryRunOptionIsAFlag) {
  for (const RunOption& o : run_options()) {
    std::string flag = std::string("--") + o.name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    const std::string value = o.kind == OptionKind::kBoolean ? "true"
                              : o.kind == OptionKind::kText  ? "f16"
                                                             : "1000";
    const auto a = parse({"m", flag, o.most < 1000 && o.most > 0 ? "1" : value});
    ASSERT_TRUE(a) << flag << ": " << a.error().message;
    EXPECT_TRUE(a->options.contains(o.name)) << flag;
  }
  EXPECT_EQ(parse({"m", "--seed=7", "--seed", "-8"})->options["seed"], Json(-8));
  EXPECT_EQ(parse({"m", "--no-repeat-guard"})->options["repeat_guard"], Json(false));
  EXPECT_TRUE(parse({"m"})->options.empty());
}

TEST(RunArguments, SaysWhatIsWrong) {
  EXPECT_EQ(refusal({}), "requires at least 1 arg(s), only received 0");
  EXPECT_EQ(refusal({"m", "--seed"}), "--seed needs a value");
  EXPECT_EQ(refusal({"m", "--seed", "abc"}), "--seed takes a whole number, not 'abc'");
  EXPECT_EQ(refusal({"m", "--top-p", "2"}), "--top-p must be between 0 and 1, not 2");
  EXPECT_EQ(refusal({"m", "--think=ultra"}),
            "invalid value for --think: \"ultra\" (must be true, false, high, medium, low, or max)");
  EXPECT_EQ(refusal({"m", "--verbose=maybe"}),
            "--verbose is on or off: it takes =true or =false, not 'maybe'");
  EXPECT_TRUE(refusal({"m", "--bogus=1"}).starts_with("unknown flag: --bogus ("));
  EXPECT_TRUE(refusal({"m", "-x"}).starts_with("unknown flag: -x ("));
  EXPECT_TRUE(refusal({"m", "--num_ctx", "5"}).starts_with("unknown flag: --num_ctx ("));
}

TEST(RunArguments, SwitchesTakeWhatGoTakesForABoolean) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    EXPECT_TRUE(parse({"m", std::string("--verbose=") + yes})->verbose) << yes;
    EXPECT_EQ(parse({"m", std::string("--truncate=") + yes})->truncate, true) << yes;
  }
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"}) {
    EXPECT_FALSE(parse({"m", "--verbose", std::string("--verbose=") + no})->verbose) << no;
    EXPECT_TRUE(parse({"m", std::string("--nowordwrap=") + no})->word_wrap) << no;
    EXPECT_EQ(parse({"m", std::string("--truncate=") + no})->truncate, false) << no;
  }
}

TEST(RunArguments, Think) {
  EXPECT_EQ(parse({"m", "--think", "high"})->think, Json(true));  // a level needs =; this is a prompt
  EXPECT_EQ(parse({"m", "--think=high"})->think, Json("high"));
  EXPECT_EQ(parse({"m", "--think=false"})->think, Json(false));
  EXPECT_TRUE(parse({"m"})->think.is_null());
}

TEST(RunArguments, KeepAliveIsADuration) {
  for (const char* good : {"5m", "1h30m", "300ms", "-1m", "0", "1.5s", "10us", ".5s"})
    EXPECT_TRUE(parse({"m", "--keepalive", good})) << good;
  for (const char* bad : {"", "abc", "m", "5", "-1", "5x", "1..5s", "5m3", "-", "."})
    EXPECT_FALSE(parse({"m", "--keepalive", bad})) << bad;
  EXPECT_EQ(refusal({"m", "--keepalive", "300"}),
            "--keepalive: time: missing unit in duration \"300\" (write 5m or 1h30m)");
  EXPECT_EQ(parse({"m", "--keepalive", "5m"})->keep_alive, Json("5m0s"));
  EXPECT_EQ(parse({"m", "--keepalive", "-1m"})->keep_alive, Json(-1));
  EXPECT_EQ(parse({"m", "--keepalive", "0"})->keep_alive, Json("0s"));
  EXPECT_TRUE(parse({"m"})->keep_alive.is_null());
}

TEST(RunArguments, Format) {
  EXPECT_EQ(parse({"m", "--format", "json"})->format, Json("json"));
  EXPECT_EQ(parse({"m", "--format", R"({"type":"object","a":1})"})->format.dump(),
            R"({"type":"object","a":1})");
  EXPECT_TRUE(parse({"m", "--format", ""})->format.is_null());
  EXPECT_TRUE(refusal({"m", "--format", "xml"}).starts_with("--format takes json or a JSON schema"));
  EXPECT_TRUE(refusal({"m", "--format", "[1]"}).starts_with("--format takes json or a JSON schema"));
}

TEST(RunArguments, Embeddings) {
  EXPECT_EQ(parse({"m", "--truncate"})->truncate, true);
  EXPECT_EQ(parse({"m", "--truncate=false"})->truncate, false);
  EXPECT_FALSE(parse({"m"})->truncate);
  EXPECT_EQ(parse({"m", "--dimensions", "16"})->dimensions, 16);
  EXPECT_EQ(refusal({"m", "--dimensions", "x"}), "--dimensions takes a whole number, not 'x'");
  EXPECT_EQ(refusal({"m", "--truncate=perhaps"}),
            "--truncate is on or off: it takes =true or =false, not 'perhaps'");
}

TEST(RunArguments, TemplateFromAFile) {
  const auto path = std::filesystem::temp_directory_path() / "quipu-template-test.jinja";
  std::ofstream(path) << "{{ messages }}\n";
  EXPECT_EQ(parse({"m", "--template", "@" + path.string()})->template_text, "{{ messages }}\n");
  EXPECT_EQ(parse({"m", "--template", "{{ x }}"})->template_text, "{{ x }}");
  std::filesystem::remove(path);
  const auto missing = parse({"m", "--template", "@" + path.string()});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
}

TEST(RunArguments, HelpBeatsEverythingAfterIt) {
  const std::vector<std::string> args = {"--help", "--bogus"};
  EXPECT_TRUE(parse_arguments(*find_command("run"), args)->help);
}

}  // namespace

}  // namespace quipu::cli

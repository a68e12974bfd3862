#include "cli/repl.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <fstream>

#include "cli/test_console.h"

namespace quipu::cli {

namespace {

using test::CapturedConsole;
using test::FakeApi;

class ScriptedLines : public LineSource {
 public:
  Line read(const std::string& prompt, const std::string& hint) override {
    prompts.push_back(prompt);
    hints.push_back(hint);
    if (lines.empty()) return {Outcome::kEnd, {}};
    Line line = lines.front();
    lines.pop_front();
    return line;
  }
  void remember(const std::string& line) override { remembered.push_back(line); }
  void keep_history(bool on) override { kept = on; }

  std::deque<Line> lines;
  std::vector<std::string> prompts, hints, remembered;
  bool kept = true;
};

class ReplTest : public testing::Test {
 protected:
  // What standard output shows for these lines.
  std::string session(std::initializer_list<const char*> lines) {
    for (const char* line : lines) source.lines.push_back({LineSource::Outcome::kLine, line});
    api->answers["/api/show"] = shown;
    ReplSetup setup{test::opened(api, shown), chat, {}};
    exit_code = Repl(std::move(setup), opener, source, captured.console()).run();
    err = captured.take_err();
    return captured.take_out();
  }
  const Json& last_body() const { return api->requests.back().body; }
  std::string last_user() const {
    return api->requests.empty() ? "" : last_body()["messages"].back()["content"].get<std::string>();
  }

  CapturedConsole captured;
  std::shared_ptr<FakeApi> api = std::make_shared<FakeApi>();
  test::FakeOpener opener;
  ScriptedLines source;
  ChatSession chat;
  Json shown =
      Json::parse(R"({"details":{"parameter_size":"1B"},"template":"{{ .Prompt }}","modelfile":"FROM x",
      "capabilities":["completion"],"model_info":{"general.architecture":"llama","llama.context_length":2048}})");
  int exit_code = -1;
  std::string err;
};

TEST_F(ReplTest, AsksAndLeaves) {
  api->replies.push_back({.pieces = {"Hi"}});
  EXPECT_EQ(session({"Hello", "", "   ", "/bye", "never read"}), "Hi\n\n");
  EXPECT_EQ(exit_code, 0);
  EXPECT_EQ(api->requests.size(), 1u);
  EXPECT_EQ(source.prompts[0], ">>> ");
  EXPECT_EQ(source.hints[0], "Send a message (/? for help)");
  EXPECT_EQ(source.remembered, (std::vector<std::string>{"Hello", "/bye"}));
}

TEST_F(ReplTest, LeavesAtTheEnd) {
  EXPECT_EQ(session({}), "");
  EXPECT_EQ(exit_code, 0);
  session({"/exit", "x"});
  EXPECT_TRUE(api->requests.empty());
}

TEST_F(ReplTest, MultilineMessages) {
  session({"\"\"\"one", "/bye is no command here", "two\"\"\""});
  EXPECT_EQ(last_user(), "one\n/bye is no command here\ntwo");
  EXPECT_EQ(source.prompts, (std::vector<std::string>{">>> ", "... ", "... ", ">>> "}));
  EXPECT_EQ(source.hints[1], "");
  session({"\"\"\"just one\"\"\""});
  EXPECT_EQ(last_user(), "just one");
  session({"pasted\nlines"});
  EXPECT_EQ(last_user(), "pasted\nlines");
  session({"/etc/motd says\nhello"});
  EXPECT_EQ(last_user(), "/etc/motd says\nhello");
}

TEST_F(ReplTest, SetParameter) {
  EXPECT_EQ(session({"/set parameter seed 42"}), "Set parameter 'seed' to '42'\n");
  EXPECT_EQ(session({"/set parameter stop a <b>"}), "Set parameter 'stop' to 'a, <b>'\n");
  EXPECT_EQ(session({"/set parameter bogus 1"}), "Couldn't set parameter: \"unknown parameter 'bogus'\"\n");
  EXPECT_EQ(session({"/set parameter seed abc"}), "Couldn't set parameter: \"invalid int value [abc]\"\n");
  EXPECT_EQ(session({"/set parameter top_p x"}), "Couldn't set parameter: \"invalid float value [x]\"\n");
  EXPECT_EQ(session({"/set parameter repeat_guard x"}),
            "Couldn't set parameter: \"invalid bool value [x]\"\n");
  EXPECT_EQ(session({"/set parameter top_p 3"}),
            "Couldn't set parameter: \"top_p must be between 0 and 1, not 3\"\n");
  EXPECT_EQ(
      session({"/set parameter num_ctx 4096"}),
      "Couldn't set parameter: \"num_ctx 4096 is more than the 2048 tokens this model was trained for\"\n");
  EXPECT_EQ(session({"/set parameter num_gpu 1"}), "Set parameter 'num_gpu' to '1'\n");
  EXPECT_EQ(err, "warning: parameter 'num_gpu' has no effect here\n");
  EXPECT_EQ(session({"/set parameter kv_cache_type f32"}), "Set parameter 'kv_cache_type' to 'f32'\n");
  api->version_.quipu.clear();  // with an Ollama it has
  EXPECT_EQ(session({"/set parameter num_gpu 1"}), "Set parameter 'num_gpu' to '1'\n");
  EXPECT_EQ(session({"/set parameter num_gpu x"}), "Couldn't set parameter: \"invalid int value [x]\"\n");
  EXPECT_EQ(session({"/set parameter"}), "");
  EXPECT_TRUE(err.starts_with("Available Parameters"));
}

TEST_F(ReplTest, ParametersGoWithTheNextQuestion) {
  session({"/set parameter seed 42", "/set parameter temperature 0", "x"});
  EXPECT_EQ(last_body()["options"].dump(), R"({"seed":42,"temperature":0.0})");
}

TEST_F(ReplTest, SetSystem) {
  EXPECT_EQ(session({"/set system You are  terse.", "/show system", "x"}),
            "Set system message.\nYou are  terse.\n\n\n\n");
  EXPECT_EQ(last_body()["messages"][0].dump(), R"({"role":"system","content":"You are  terse."})");
  EXPECT_EQ(session({"/set system \"\"\"one", "two\"\"\"", "/show system"}),
            "Set system message.\none\ntwo\n\n");
  EXPECT_EQ(session({"/set system"}), "");
  EXPECT_NE(err.find("/set system <string>"), std::string::npos);
}

TEST_F(ReplTest, Toggles) {
  for (const char* mode : {"verbose", "quiet", "wordwrap", "nowordwrap", "history", "nohistory", "nothink"})
    EXPECT_EQ(session({(std::string("/set ") + mode).c_str()}), fmt::format("Set '{}' mode.\n", mode));
  session({"/set nohistory"});
  EXPECT_FALSE(source.kept);
  EXPECT_EQ(session({"/set noformat"}), "Disabled format.\n");
  EXPECT_EQ(session({"/set format xml"}),
            "Invalid or missing format. For 'json' mode use '/set format json'\n");
  EXPECT_EQ(session({"/set think high"}), "Set 'think' mode to 'high'.\n");
  EXPECT_EQ(err, "warning: model \"m\" does not support thinking output\n");
  EXPECT_EQ(session({"/set think extreme"}),
            "'extreme' is not a level of thinking: high, medium, low or max\n");
  EXPECT_EQ(session({"/set bogus"}), "Unknown command '/set bogus'. Type /? for help\n");
}

TEST_F(ReplTest, Format) {
  EXPECT_EQ(session({"/set format json", "x"}), "Set format to 'json' mode.\n\n\n");
  EXPECT_EQ(last_body()["format"], "json");
  EXPECT_EQ(session({"/set format json", "/set noformat", "x"}),
            "Set format to 'json' mode.\nDisabled format.\n\n\n");
  EXPECT_FALSE(last_body().contains("format"));
}

TEST_F(ReplTest, Think) {
  shown["capabilities"].push_back("thinking");
  EXPECT_EQ(session({"/set think", "x"}), "Set 'think' mode.\n\n\n");
  EXPECT_EQ(err, "");
  EXPECT_EQ(last_body()["think"], true);
  session({"/set think high", "x"});
  EXPECT_EQ(last_body()["think"], "high");
  session({"/set nothink", "x"});
  EXPECT_EQ(last_body()["think"], false);
}

TEST_F(ReplTest, Show) {
  EXPECT_EQ(session({"/show license"}), "No license was specified for this model.\n");
  EXPECT_EQ(session({"/show template"}), "{{ .Prompt }}\n\n");
  EXPECT_EQ(session({"/show system"}), "No system message was specified for this model.\n");
  EXPECT_TRUE(session({"/show info"}).starts_with("  Model\n    architecture"));
  EXPECT_EQ(session({"/show modelfile"}), "FROM x\n");
  EXPECT_EQ(session({"/set parameter seed 1", "/show parameters"}),
            "Set parameter 'seed' to '1'\nModel defined parameters:\n  No additional parameters were "
            "specified for this "
            "model.\n\nUser defined parameters:\n  seed                           1\n\n");
  shown["parameters"] = "seed                           4\nstop                           \"a\"";
  EXPECT_EQ(session({"/show parameters"}),
            "Model defined parameters:\n  seed                           4\n  stop                           "
            "\"a\"\n\n");
  shown["system"] = "Be nice.";
  EXPECT_EQ(session({"/show system"}), "Be nice.\n\n");
  session({"/set system mine", "/set parameter seed 5", "/show modelfile"});
  EXPECT_EQ(api->calls.back().body.dump(), R"({"model":"m","system":"mine","options":{"seed":5}})");
  EXPECT_EQ(session({"/show bogus"}), "Unknown command '/show bogus'. Type /? for help\n");
  session({"/show"});
  EXPECT_NE(err.find("/show info"), std::string::npos);
}

TEST_F(ReplTest, HelpPages) {
  for (const char* line : {"/?", "/help", "/? set", "/? show", "/? shortcuts", "/? /set"}) {
    EXPECT_EQ(session({line}), "") << line;
    EXPECT_TRUE(err.starts_with("Available ")) << line;
  }
}

TEST_F(ReplTest, UnknownCommands) {
  EXPECT_EQ(session({"/bogus with words"}), "Unknown command '/bogus'. Type /? for help\n");
}

TEST_F(ReplTest, List) {
  api->answers["/api/tags"] =
      Json::parse(R"({"models":[{"name":"smol:latest","digest":"0123456789abcdef","size":5}]})");
  EXPECT_EQ(session({"/list"}),
            "NAME           ID              SIZE    MODIFIED \nsmol:latest    0123456789ab    5 B     Never  "
            "     \n");
}

TEST_F(ReplTest, Load) {
  auto other = std::make_shared<FakeApi>();
  opener.models["other"] = test::opened(other, Json::parse(R"({"capabilities":["completion"],"messages":[
      {"role":"system","content":"s"},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello!"}]})"),
                                        "other");
  EXPECT_EQ(session({"/load nope"}), "Loading model 'nope'\nCouldn't find model 'nope'\n");
  EXPECT_EQ(session({"/load"}), "Usage:\n  /load <modelname>\n");
  EXPECT_EQ(session({"one", "/load other", "two"}), "\n\nLoading model 'other'\n>>> Hi\nHello!\n\n\n\n");
  ASSERT_EQ(other->requests.size(), 2u);
  EXPECT_EQ(other->requests[0].path, "/api/generate");
  EXPECT_EQ(other->requests[0].body.dump(), R"({"model":"other"})");
  EXPECT_EQ(other->requests[1].body["messages"].dump(), R"([{"role":"user","content":"two"}])");
}

TEST_F(ReplTest, Save) {
  EXPECT_EQ(session({"/save"}), "Usage:\n  /save <modelname>\n");
  shown["messages"] = Json::parse(R"([{"role":"user","content":"before"}])");
  chat.set_system("s");
  api->replies = {{.pieces = {"1"}}, {.done = {{"status", "success"}}}};
  EXPECT_EQ(session({"/set parameter seed 1", "one", "/save mine"}),
            ">>> before\nSet parameter 'seed' to '1'\n1\n\nCreated new model 'mine'\n");
  EXPECT_EQ(api->requests.back().path, "/api/create");
  EXPECT_EQ(
      last_body().dump(),
      R"({"model":"mine","from":"m","stream":true,"parameters":{"seed":1},"system":"s","messages":[)"
      R"({"role":"user","content":"before"},{"role":"user","content":"one"},{"role":"assistant","content":"1"}]})");
  shown.erase("messages");
  api->replies = {{.failure = {Code::kInvalidArgument, "400 Bad Request: invalid model name", {}}}};
  EXPECT_EQ(session({"/save a:b:c"}), "error: The model name 'a:b:c' is invalid\n");
  api->replies = {{.failure = {Code::kInternal, "500 Internal Server Error: disk full", {}}}};
  EXPECT_EQ(session({"/save x"}), "");
  EXPECT_EQ(err, "Error: 500 Internal Server Error: disk full\n");
}

TEST_F(ReplTest, APathOfAPictureIsNoCommand) {
  const std::string file = testing::TempDir() + "quipu repl test.png";
  std::ofstream(file) << "\x89PNG\r\n\x1A\n.";
  session({(file + " what is this?").c_str()});
  EXPECT_NE(err.find("does not support vision"), std::string::npos) << err;
  EXPECT_TRUE(api->requests.empty());
  shown["capabilities"].push_back("vision");
  session({(file + " what is this?").c_str()});
  EXPECT_EQ(err, "Added image '" + file + "'\n");
  EXPECT_EQ(last_body()["messages"].dump(),
            R"([{"role":"user","content":"what is this?","images":["iVBORw0KGgou"]}])");
  std::remove(file.c_str());
}

TEST_F(ReplTest, ClearForgets) {
  chat.set_system("s");
  api->replies.push_back({.pieces = {"1"}});
  EXPECT_EQ(session({"one", "/clear", "two"}), "1\n\nCleared session context\n\n\n");
  EXPECT_EQ(last_body()["messages"].dump(),
            R"([{"role":"system","content":"s"},{"role":"user","content":"two"}])");
}

TEST_F(ReplTest, InterruptAtThePrompt) {
  source.lines.push_back({LineSource::Outcome::kInterrupted, ""});
  EXPECT_EQ(session({}), "Use Ctrl + d or /bye to exit.\n");
  source.lines.push_back({LineSource::Outcome::kInterrupted, "half a li"});
  EXPECT_EQ(session({}), "");
  source.lines = {{LineSource::Outcome::kLine, "\"\"\"open"}, {LineSource::Outcome::kInterrupted, ""}};
  EXPECT_EQ(session({"/show license"}), "No license was specified for this model.\n");
}

TEST_F(ReplTest, AnErrorKeepsTheConversation) {
  api->replies.push_back({.failure = {Code::kUnavailable, "the runner was killed", {}}});
  api->replies.push_back({.pieces = {"again"}});
  EXPECT_EQ(session({"one", "two"}), "again\n\n");
  EXPECT_EQ(err, "Error: the runner was killed\n");
  EXPECT_EQ(exit_code, 0);
}

TEST_F(ReplTest, TerminationEndsIt) {
  api->replies.push_back({.pieces = {"x"}, .before_end = [] { raise(SIGTERM); }});
  session({"one", "two"});
  EXPECT_EQ(exit_code, 128 + SIGTERM);
  EXPECT_EQ(api->requests.size(), 1u);
}

}  // namespace

}  // namespace quipu::cli

#include "cli/repl.h"

#include <gtest/gtest.h>

#include <csignal>

#include "cli/test_console.h"

namespace quipu::cli {

namespace {

using test::CapturedConsole;
using test::FakeRunner;

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
    ReplSetup setup{"m.gguf", info, chat, {}};
    exit_code = Repl(std::move(setup), runner, source, captured.console()).run();
    err = captured.take_err();
    return captured.take_out();
  }
  std::string last_user() const {
    return runner.requests.empty() ? ""
                                   : runner.requests.back()["messages"].back()["content"].get<std::string>();
  }

  CapturedConsole captured;
  FakeRunner runner;
  ScriptedLines source;
  ChatSession chat;
  Json info = {{"architecture", "llama"},
               {"n_ctx_train", 2048},
               {"num_ctx", 2048},
               {"chat_template", "{{ messages }}"}};
  int exit_code = -1;
  std::string err;
};

TEST_F(ReplTest, AsksAndLeaves) {
  runner.replies.push_back({.pieces = {"Hi"}});
  EXPECT_EQ(session({"Hello", "", "   ", "/bye", "never read"}), "Hi\n\n");
  EXPECT_EQ(exit_code, 0);
  EXPECT_EQ(runner.requests.size(), 1u);
  EXPECT_EQ(source.prompts[0], ">>> ");
  EXPECT_EQ(source.hints[0], "Send a message (/? for help)");
  EXPECT_EQ(source.remembered, (std::vector<std::string>{"Hello", "/bye"}));
}

TEST_F(ReplTest, LeavesAtTheEnd) {
  EXPECT_EQ(session({}), "");
  EXPECT_EQ(exit_code, 0);
  session({"/exit", "x"});
  EXPECT_TRUE(runner.requests.empty());
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
  EXPECT_EQ(session({"/set parameter num_gpu 1"}),
            "Couldn't set parameter: \"parameter 'num_gpu' has no effect here\"\n");
  EXPECT_TRUE(
      session({"/set parameter kv_cache_type f32"}).starts_with("Couldn't set parameter: \"kv_cache_type "));
  EXPECT_EQ(session({"/set parameter"}), "");
  EXPECT_TRUE(err.starts_with("Available Parameters"));
}

TEST_F(ReplTest, ParametersGoWithTheNextQuestion) {
  session({"/set parameter seed 42", "/set parameter temperature 0", "x"});
  EXPECT_EQ(runner.requests.back()["options"].dump(), R"({"seed":42,"temperature":0.0})");
}

TEST_F(ReplTest, SetSystem) {
  EXPECT_EQ(session({"/set system You are  terse.", "/show system", "x"}),
            "Set system message.\nYou are  terse.\n\n\n\n");
  EXPECT_EQ(runner.requests.back()["messages"][0].dump(), R"({"role":"system","content":"You are  terse."})");
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
  EXPECT_NE(session({"/set format json"}).find("not supported yet"), std::string::npos);
  EXPECT_EQ(session({"/set think high"}), "Set 'think' mode to 'high'.\n");
  EXPECT_EQ(err, "warning: model \"m.gguf\" does not support thinking output\n");
  EXPECT_EQ(session({"/set bogus"}), "Unknown command '/set bogus'. Type /? for help\n");
}

TEST_F(ReplTest, Show) {
  EXPECT_EQ(session({"/show license"}), "No license was specified for this model.\n");
  EXPECT_EQ(session({"/show template"}), "{{ messages }}\n\n");
  EXPECT_EQ(session({"/show system"}), "No system message was specified for this model.\n");
  EXPECT_TRUE(session({"/show info"}).starts_with("  Model\n    architecture"));
  EXPECT_NE(session({"/show modelfile"}).find("\nFROM m.gguf\n"), std::string::npos);
  EXPECT_EQ(session({"/set parameter seed 1", "/show parameters"}),
            "Set parameter 'seed' to '1'\nModel defined parameters:\n  No additional parameters were "
            "specified for this "
            "model.\n\nUser defined parameters:\n  seed                           1\n\n");
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

TEST_F(ReplTest, WhatIsNotThereYetIsSaid) {
  for (const char* line : {"/load other", "/save mine", "/list"})
    EXPECT_NE(session({line}).find("no named models yet"), std::string::npos) << line;
  EXPECT_EQ(session({"/bogus with words"}), "Unknown command '/bogus'. Type /? for help\n");
}

TEST_F(ReplTest, ClearForgets) {
  chat.set_system("s");
  runner.replies.push_back({.pieces = {"1"}});
  EXPECT_EQ(session({"one", "/clear", "two"}), "1\n\nCleared session context\n\n\n");
  EXPECT_EQ(runner.requests.back()["messages"].dump(),
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
  runner.replies.push_back({.failure = {Code::kUnavailable, "the runner was killed", {}}});
  runner.replies.push_back({.pieces = {"again"}});
  EXPECT_EQ(session({"one", "two"}), "again\n\n");
  EXPECT_EQ(err, "Error: the runner was killed\n");
  EXPECT_EQ(exit_code, 0);
}

TEST_F(ReplTest, TerminationEndsIt) {
  runner.replies.push_back({.pieces = {"x"}, .before_end = [] { raise(SIGTERM); }});
  session({"one", "two"});
  EXPECT_EQ(exit_code, 128 + SIGTERM);
  EXPECT_EQ(runner.requests.size(), 1u);
}

}  // namespace

}  // namespace quipu::cli

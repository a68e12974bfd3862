#include "cli/answer.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>

#include "cli/chat_session.h"
#include "cli/test_console.h"

namespace quipu::cli {

namespace {

using test::CapturedConsole;
using test::FakeRunner;

TEST(Answer, TextAsItComesThenTwoNewlines) {
  CapturedConsole c;
  FakeRunner runner;
  runner.replies.push_back({.pieces = {"Hello", ", \x1b[1mwörld"}});
  const auto answer = stream_answer(runner, Json::object(), {}, 4096, c.console());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "Hello, \x1b[1mwörld");
  EXPECT_EQ(c.take_out(), "Hello, \x1b[1mwörld\n\n");  // a pipe gets it as it is
  EXPECT_EQ(c.take_err(), "");
}

TEST(Answer, VerboseGoesToStandardError) {
  CapturedConsole c;
  FakeRunner runner;
  runner.replies.push_back(
      {.pieces = {"x"}, .done = {{"stop", "eos"}, {"prompt_tokens", 9}, {"total_ns", 1000}}});
  ASSERT_TRUE(stream_answer(runner, Json::object(), {.verbose = true}, 4096, c.console()));
  EXPECT_EQ(c.take_out(), "x\n\n");
  const std::string err = c.take_err();
  EXPECT_NE(err.find("prompt eval count:    9 token(s)\n"), std::string::npos);
  EXPECT_NE(err.find("  weights          1.0 KiB     1.0 KiB\n"), std::string::npos);
}

TEST(Answer, InterruptCancels) {
  CapturedConsole c;
  FakeRunner runner;
  runner.replies.push_back({.pieces = {"partial"}, .before_end = [] { raise(SIGINT); }});
  const auto answer = stream_answer(runner, Json::object(), {}, 4096, c.console());
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->cancelled);
  EXPECT_EQ(answer->text, "partial");
  EXPECT_EQ(c.signals().ending(), 0);
  EXPECT_FALSE(c.signals().take_interrupt());  // it was taken
}

TEST(Answer, NobodyReadsAnyMore) {
  SignalWatch signals;
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  close(pipes[0]);
  {
    Console console(STDIN_FILENO, pipes[1], STDERR_FILENO, signals);
    FakeRunner runner;
    runner.replies.push_back({.pieces = {"a", "b"}});
    const auto answer = stream_answer(runner, Json::object(), {}, 4096, console);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->cancelled);
    EXPECT_EQ(answer->text, "a");
    EXPECT_EQ(console.out_error(), EPIPE);
  }
  close(pipes[1]);
}

TEST(ChatSession, KeepsWhatWasSaid) {
  CapturedConsole c;
  FakeRunner runner;
  ChatSession chat;
  chat.set_system("Be brief.");
  chat.options["seed"] = 7;
  runner.replies.push_back({.pieces = {"Hi", "!"}});
  ASSERT_TRUE(chat.ask("Hello", runner, {}, 4096, c.console()));
  runner.replies.push_back({.pieces = {"Fine"}});
  ASSERT_TRUE(chat.ask("How are you?", runner, {}, 4096, c.console()));
  EXPECT_EQ(runner.requests[1].dump(),
            R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello"},)"
            R"({"role":"assistant","content":"Hi!"},{"role":"user","content":"How are you?"}],)"
            R"("options":{"seed":7},"truncate":false,"drop_messages":true})");
}

TEST(ChatSession, CancelledAndFailedAnswers) {
  CapturedConsole c;
  FakeRunner runner;
  ChatSession chat;
  runner.replies.push_back({.pieces = {"half an ans"}, .before_end = [] { raise(SIGINT); }});
  ASSERT_TRUE(chat.ask("one", runner, {}, 4096, c.console()));
  EXPECT_EQ(chat.messages().back().content, "half an ans");
  runner.replies.push_back({.before_end = [] { raise(SIGINT); }});
  ASSERT_TRUE(chat.ask("two", runner, {}, 4096, c.console()));
  runner.replies.push_back({.failure = {Code::kInvalidArgument, "too long", {}}});
  EXPECT_FALSE(chat.ask("three", runner, {}, 4096, c.console()));
  ASSERT_EQ(chat.messages().size(), 2u);  // neither question stays without an answer
}

TEST(ChatSession, TellsOnceAboutEveryMessageLeftOut) {
  CapturedConsole c;
  FakeRunner runner;
  ChatSession chat;
  for (int dropped : {0, 2, 2, 4})
    runner.replies.push_back({.done = {{"stop", "eos"}, {"dropped_messages", dropped}}});
  std::string told;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(chat.ask("x", runner, {}, 256, c.console()));
    told += c.take_err() + "|";
  }
  const std::string two =
      "The conversation no longer fits num_ctx 256: the 2 oldest messages were dropped.\n";
  EXPECT_EQ(told, "|" + two + "||" + two + "|");
}

TEST(ChatSession, SystemMessages) {
  ChatSession chat;
  chat.set_system("a");
  chat.set_system("b");
  EXPECT_EQ(chat.messages().size(), 1u);
  EXPECT_EQ(chat.system(), "b");
  CapturedConsole c;
  FakeRunner runner;
  ASSERT_TRUE(chat.ask("x", runner, {}, 256, c.console()));
  chat.set_system("c");
  EXPECT_EQ(chat.messages().size(), 4u);
  chat.clear();
  ASSERT_EQ(chat.messages().size(), 1u);
  EXPECT_EQ(chat.messages()[0].content, "c");
}

}  // namespace

}  // namespace quipu::cli

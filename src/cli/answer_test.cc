#include "cli/answer.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>

#include "cli/chat_session.h"
#include "cli/test_console.h"

namespace quipu::cli {

namespace {

using test::CapturedConsole;
using test::FakeApi;
using test::opened;

const Question kQuestion{"/api/chat", Json::object()};

TEST(Answer, TextAsItComesThenTwoNewlines) {
  CapturedConsole c;
  FakeApi api;
  api.replies.push_back({.pieces = {"Hello", ", \x1b[1mwörld"}});
  const auto answer = stream_answer(api, kQuestion, {}, c.console());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "Hello, \x1b[1mwörld");
  EXPECT_EQ(c.take_out(), "Hello, \x1b[1mwörld\n\n");  // a pipe gets it as it is
  EXPECT_EQ(c.take_err(), "");
}

TEST(Answer, ThinkingStandsApart) {
  CapturedConsole c;
  FakeApi api;
  api.replies.push_back({.pieces = {"4", "."}, .thinking = {"2 and 2", " make 4"}});
  const auto answer = stream_answer(api, kQuestion, {}, c.console());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->thinking, "2 and 2 make 4");
  EXPECT_EQ(answer->text, "4.");
  EXPECT_EQ(c.take_out(), "Thinking...\n2 and 2 make 4\n...done thinking.\n\n4.\n\n");

  api.replies.push_back({.pieces = {"4."}, .thinking = {"ends its line\n"}});
  ASSERT_TRUE(stream_answer(api, kQuestion, {}, c.console()));
  EXPECT_EQ(c.take_out(), "Thinking...\nends its line\n...done thinking.\n\n4.\n\n");

  api.replies.push_back({.pieces = {"4."}, .thinking = {"hm"}});
  ASSERT_TRUE(stream_answer(api, kQuestion, {.hide_thinking = true}, c.console()));
  EXPECT_EQ(c.take_out(), "4.\n\n");
}

TEST(Answer, BothFormsOfLines) {
  CapturedConsole c;
  FakeApi api;
  api.replies.push_back({.done = {{"response", "whole"}, {"done", true}}});
  const auto answer = stream_answer(api, {"/api/generate", Json::object()}, {}, c.console());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "whole");
  EXPECT_EQ(c.take_out(), "whole\n\n");
}

TEST(Answer, VerboseGoesToStandardError) {
  CapturedConsole c;
  FakeApi api;
  api.answers["/api/ps"] = Json::parse(
      R"({"models":[{"name":"other:latest"},{"name":"m:latest","quipu":{"memory":{"weights":{"planned":1024,"measured":1024}}}}]})");
  api.replies.push_back(
      {.pieces = {"x"}, .done = {{"done", true}, {"prompt_eval_count", 9}, {"total_duration", 1000}}});
  ASSERT_TRUE(stream_answer(api, {"/api/chat", {{"model", "m"}}}, {.verbose = true}, c.console()));
  EXPECT_EQ(c.take_out(), "x\n\n");
  const std::string err = c.take_err();
  EXPECT_NE(err.find("prompt eval count:    9 token(s)\n"), std::string::npos);
  EXPECT_NE(err.find("  weights          1.0 KiB     1.0 KiB\n"), std::string::npos);
}

TEST(Answer, ModelsInMemoryAreFoundByEverySpelling) {
  FakeApi api;
  api.answers["/api/ps"] =
      Json::parse(R"({"models":[{"name":"a:latest","context_length":1},{"name":"b:q4","context_length":2},
      {"name":"/x/m.gguf","context_length":3}]})");
  EXPECT_EQ(loaded_context(api, "a"), 1);
  EXPECT_EQ(loaded_context(api, "B:q4"), 2);
  EXPECT_EQ(loaded_context(api, "/x/m.gguf"), 3);
  EXPECT_EQ(loaded_context(api, "c"), 0);
  api.answers["/api/ps"]["models"].erase(1);
  api.answers["/api/ps"]["models"].erase(1);
  EXPECT_EQ(loaded_context(api, "made-of-the-same-weights"), 1);
  api.answers["/api/ps"] = "nonsense";
  EXPECT_EQ(loaded_context(api, "a"), 0);
}

TEST(Answer, AFullContextIsNamed) {
  CapturedConsole c;
  FakeApi api;
  api.answers["/api/ps"] = Json::parse(R"({"models":[{"name":"m:latest","context_length":4096}]})");
  api.replies.push_back({.pieces = {"x"}, .done = {{"done", true}, {"quipu", {{"stop", "context"}}}}});
  ASSERT_TRUE(stream_answer(api, {"/api/chat", {{"model", "m"}}}, {}, c.console()));
  EXPECT_EQ(c.take_err(), "The context of 4096 tokens is full: the answer ends here.\n");
}

TEST(Answer, InterruptCancels) {
  CapturedConsole c;
  FakeApi api;
  api.replies.push_back({.pieces = {"partial"}, .before_end = [] { raise(SIGINT); }});
  const auto answer = stream_answer(api, kQuestion, {}, c.console());
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->cancelled);
  EXPECT_EQ(answer->text, "partial");
  EXPECT_EQ(c.signals().ending(), 0);
  EXPECT_FALSE(c.signals().take_interrupt());  // it was taken
}

TEST(Answer, AFailureInTheMiddle) {
  CapturedConsole c;
  FakeApi api;
  api.replies.push_back({.pieces = {"half"}, .failure = {Code::kInternal, "it broke", {}}});
  const auto answer = stream_answer(api, kQuestion, {}, c.console());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "it broke");
  EXPECT_EQ(c.take_out(), "half\n\n");
}

TEST(Answer, NobodyReadsAnyMore) {
  SignalWatch signals;
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  close(pipes[0]);
  {
    Console console(STDIN_FILENO, pipes[1], STDERR_FILENO, signals);
    FakeApi api;
    api.replies.push_back({.pieces = {"a", "b"}});
    const auto answer = stream_answer(api, kQuestion, {}, console);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->cancelled);
    EXPECT_EQ(answer->text, "a");
    EXPECT_EQ(console.out_error(), EPIPE);
  }
  close(pipes[1]);
}

class ChatSessionTest : public testing::Test {
 protected:
  Result<Answer> ask(const char* text) {
    return chat.ask({text, {}}, opened(api, shown), {}, console.console());
  }
  std::string last_request() const { return api->requests.back().body.dump(); }

  CapturedConsole console;
  std::shared_ptr<FakeApi> api = std::make_shared<FakeApi>();
  Json shown = {{"capabilities", {"completion"}}};
  ChatSession chat;
};

TEST_F(ChatSessionTest, KeepsWhatWasSaid) {
  chat.set_system("Be brief.");
  chat.options["seed"] = 7;
  api->replies.push_back({.pieces = {"Hi", "!"}});
  ASSERT_TRUE(ask("Hello"));
  api->replies.push_back({.pieces = {"Fine"}, .thinking = {"hm"}});
  ASSERT_TRUE(ask("How are you?"));
  EXPECT_EQ(last_request(),
            R"({"model":"m","options":{"seed":7},"messages":[{"role":"system","content":"Be brief."},)"
            R"({"role":"user","content":"Hello"},{"role":"assistant","content":"Hi!"},)"
            R"({"role":"user","content":"How are you?"}],"truncate":false,"quipu":{"drop_messages":true}})");
  ASSERT_TRUE(ask("And you?"));
  EXPECT_EQ(api->requests.back().body["messages"][4].dump(),
            R"({"role":"assistant","content":"Fine","thinking":"hm"})");
}

TEST_F(ChatSessionTest, WhatGoesWithARequest) {
  chat.format = "json";
  chat.think = "high";
  chat.keep_alive = "5m0s";
  ASSERT_TRUE(chat.ask({"look", {{"/a.png", "QUJD", false}}}, opened(api, shown), {}, console.console()));
  EXPECT_EQ(
      last_request(),
      R"({"model":"m","keep_alive":"5m0s","messages":[{"role":"user","content":"look","images":["QUJD"]}],)"
      R"("format":"json","truncate":false,"quipu":{"drop_messages":true}})");  // a model that cannot think is
                                                                               // not asked to
  shown["capabilities"].push_back("thinking");
  ASSERT_TRUE(ask("x"));
  EXPECT_EQ(api->requests.back().body["think"], "high");
  chat.template_text = "{{ .Prompt }}";
  ASSERT_TRUE(ask("x"));
  EXPECT_EQ(api->requests.back().body["quipu"]["template"], "{{ .Prompt }}");
}

TEST_F(ChatSessionTest, AnOllamaGetsItsOwnRequests) {
  api->version_.quipu.clear();
  ASSERT_TRUE(ask("x"));
  EXPECT_EQ(last_request(), R"({"model":"m","messages":[{"role":"user","content":"x"}]})");
}

TEST_F(ChatSessionTest, CancelledAndFailedAnswers) {
  api->replies.push_back({.pieces = {"half an ans"}, .before_end = [] { raise(SIGINT); }});
  ASSERT_TRUE(ask("one"));
  EXPECT_EQ(chat.messages().back().content, "half an ans");
  api->replies.push_back({.before_end = [] { raise(SIGINT); }});
  ASSERT_TRUE(ask("two"));
  api->replies.push_back({.failure = {Code::kInvalidArgument, "too long", {}}});
  EXPECT_FALSE(ask("three"));
  ASSERT_EQ(chat.messages().size(), 2u);  // neither question stays without an answer
}

TEST_F(ChatSessionTest, TellsOnceAboutEveryMessageLeftOut) {
  chat.options["num_ctx"] = 256;
  for (int dropped : {0, 2, 2, 4})
    api->replies.push_back({.done = {{"done", true}, {"quipu", {{"dropped_messages", dropped}}}}});
  std::string told;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(ask("x"));
    told += console.take_err() + "|";
  }
  const std::string two =
      "The conversation no longer fits num_ctx 256: the 2 oldest messages were dropped.\n";
  EXPECT_EQ(told, "|" + two + "||" + two + "|");
}

TEST_F(ChatSessionTest, SystemMessages) {
  chat.set_system("a");
  chat.set_system("b");
  EXPECT_EQ(chat.messages().size(), 1u);
  EXPECT_EQ(chat.system(), "b");
  ASSERT_TRUE(ask("x"));
  chat.set_system("c");
  EXPECT_EQ(chat.messages().size(), 4u);
  chat.clear();
  ASSERT_EQ(chat.messages().size(), 1u);
  EXPECT_EQ(chat.messages()[0].content, "c");
}

}  // namespace

}  // namespace quipu::cli

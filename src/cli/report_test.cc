#include "cli/report.h"

#include <gtest/gtest.h>

namespace quipu::cli {

namespace {

TEST(Report, MetricsAreOllamasLines) {
  Json done = {{"prompt_eval_count", 9},
               {"eval_count", 3},
               {"prompt_eval_duration", 12'500'000},
               {"eval_duration", 30'000'000},
               {"total_duration", 43'180'000}};
  EXPECT_EQ(metrics_text(done),
            "total duration:       43.18ms\n"
            "prompt eval count:    9 token(s)\n"
            "prompt eval duration: 12.5ms\n"
            "prompt eval rate:     720.00 tokens/s\n"
            "eval count:           3 token(s)\n"
            "eval duration:        30ms\n"
            "eval rate:            100.00 tokens/s\n");
  done["load_duration"] = 1'820'000;
  EXPECT_TRUE(
      metrics_text(done).starts_with("total duration:       43.18ms\nload duration:        1.82ms\n"));
  EXPECT_EQ(metrics_text(Json::object()), "");
  EXPECT_EQ(metrics_text(Json("nonsense")), "");
}

TEST(Report, WhatAQuipuAdds) {
  const Json done =
      Json::parse(R"({"quipu":{"cached_tokens":5,"dropped_messages":2,"dropped_tokens":7,"context_shifts":1,
      "stop":"eos","kv_bytes":2097152,"drafted_tokens":8,"accepted_tokens":3}})");
  EXPECT_EQ(metrics_text(done),
            "prompt cached:        5 token(s)\n"
            "prompt dropped:       7 token(s)\n"
            "messages dropped:     2\n"
            "context shifts:       1\n"
            "drafted:              8 token(s), 3 accepted\n"
            "kv cache:             2.0 MiB\n"
            "ended by:             eos\n");
}

TEST(Report, CachedTokensDoNotRaiseTheRate) {
  const Json done = {{"prompt_eval_count", 100},
                     {"prompt_eval_duration", 1'000'000'000},
                     {"quipu", {{"cached_tokens", 90}}}};
  const std::string text = metrics_text(done);
  EXPECT_NE(text.find("prompt cached:        90 token(s)\n"), std::string::npos);
  EXPECT_NE(text.find("prompt eval rate:     10.00 tokens/s\n"), std::string::npos);
}

TEST(Report, MemoryByCategory) {
  const Json memory =
      Json::parse(R"({"weights":{"planned":1048576,"measured":1048576},"projector":{"planned":0,"measured":0},
      "kv":{"planned":2048,"measured":2048,"type":"f16:f16"},"total":{"planned":1050624,"measured":1050000},"unexplained":-1024})");
  EXPECT_EQ(memory_text(memory),
            "memory             planned    measured\n"
            "  weights          1.0 MiB     1.0 MiB\n"
            "  kv               2.0 KiB     2.0 KiB\n"
            "  total            1.0 MiB     1.0 MiB\n"
            "  unexplained                 -1.0 KiB\n");
}

TEST(Report, AnEmptyCacheStillHasACeiling) {
  const char* head = "memory             planned    measured\n";
  EXPECT_EQ(
      memory_text(Json::parse(R"({"projector":{"planned":0,"measured":0},
      "kv":{"planned":0,"measured":0,"in_use":0,"cached":0,"ceiling":1048576}})")),
      std::string(head) + "  kv                   0 B         0 B   0 B in use, 0 B cached; up to 1.0 MiB\n");
  EXPECT_EQ(memory_text(Json::parse(R"({"kv":{"planned":0,"ceiling":1048576}})")),
            std::string(head) + "  kv                   0 B               up to 1.0 MiB\n");
}

TEST(Report, UnusualEndsAreTold) {
  const auto notice = [](const char* stop) {
    return stop_notice({{"quipu", {{"stop", stop}}}}, 4096, {{"max_seconds", 2.5}});
  };
  const auto shifts = [](int n) { return shift_notice({{"quipu", {{"context_shifts", n}}}}); };
  EXPECT_EQ(shifts(0), "");
  EXPECT_EQ(shifts(1), "The context was full: to go on, the answer left out the older half of it.");
  EXPECT_EQ(shifts(3), "The context was full 3 times: to go on, the answer left out the older half of it.");
  for (const char* usual : {"eos", "stop", "length", "cancelled"}) EXPECT_EQ(notice(usual), "") << usual;
  for (const char* unusual : {"context", "repetition", "time", "memory"})
    EXPECT_NE(notice(unusual), "") << unusual;
  EXPECT_NE(notice("context").find("4096"), std::string::npos);
  EXPECT_NE(notice("time").find("2.5 s"), std::string::npos);
}

TEST(Report, DroppedMessages) {
  EXPECT_EQ(dropped_notice(2, 4096),
            "The conversation no longer fits num_ctx 4096: the 2 oldest messages were dropped.");
  EXPECT_EQ(dropped_notice(1, 64),
            "The conversation no longer fits num_ctx 64: the oldest message was dropped.");
}

TEST(Report, APlanThatDoesNotFit) {
  const Json plan =
      Json::parse(R"({"memory":{"weights":{"planned":1048576},"kv":{"planned":1024,"type":"f16:f16"}},
      "machine":{"total":1048576,"free":524288,"terms":[]},"fits":"no",
      "alternatives":[{"change":"num_ctx=512","total":1024,"fits":"yes"},{"change":"num_ctx=1024","total":2048,"fits":"no"}]})");
  EXPECT_EQ(plan_text(plan),
            "memory             planned    measured\n"
            "  weights          1.0 MiB            \n"
            "  kv               1.0 KiB            \n"
            "  free           512.0 KiB\n"
            "  total            1.0 MiB\n"
            "  num_ctx=512 would take 1.0 KiB\n");
  EXPECT_EQ(plan_text(Json()), "");
  EXPECT_EQ(plan_text(Json("nonsense")), "");
}

TEST(Report, OddJsonIsHarmless) {
  EXPECT_EQ(number_of(Json("x"), "a", 7), 7);
  EXPECT_EQ(number_of(Json({{"a", "text"}}), "a", 7), 7);
  EXPECT_EQ(number_of(Json({{"a", 1e300}}), "a", 7), 7);
  EXPECT_EQ(text_of(Json({{"a", 5}}), "a"), "");
  EXPECT_EQ(field_of(Json("x"), "a"), Json());
}

}  // namespace

}  // namespace quipu::cli

#include "cli/report.h"

#include <gtest/gtest.h>

namespace quipu::cli {

namespace {

TEST(Report, MetricsAreOllamasLines) {
  const Json done = {{"prompt_tokens", 9},
                     {"generated_tokens", 3},
                     {"prompt_ns", 12'500'000},
                     {"generate_ns", 30'000'000},
                     {"total_ns", 43'180'000}};
  EXPECT_EQ(metrics_text(done, 0),
            "total duration:       43.18ms\n"
            "prompt eval count:    9 token(s)\n"
            "prompt eval duration: 12.5ms\n"
            "prompt eval rate:     720.00 tokens/s\n"
            "eval count:           3 token(s)\n"
            "eval duration:        30ms\n"
            "eval rate:            100.00 tokens/s\n");
  EXPECT_TRUE(metrics_text(done, 1'820'000)
                  .starts_with("total duration:       45ms\nload duration:        1.82ms\n"));
  EXPECT_EQ(metrics_text(Json::object(), 0), "");
  EXPECT_EQ(metrics_text(Json("nonsense"), 0), "");
}

TEST(Report, CachedTokensDoNotRaiseTheRate) {
  const Json done = {{"prompt_tokens", 100}, {"cached_tokens", 90}, {"prompt_ns", 1'000'000'000}};
  const std::string text = metrics_text(done, 0);
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

TEST(Report, UnusualEndsAreTold) {
  const auto notice = [](const char* stop) {
    return stop_notice({{"stop", stop}}, 4096, {{"max_seconds", 2.5}});
  };
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

TEST(Report, ParameterCounts) {
  EXPECT_EQ(parameter_count(134'515'008), "134.52M");
  EXPECT_EQ(parameter_count(8'000'000'000), "8B");
  EXPECT_EQ(parameter_count(8'030'261'312), "8.0B");
  EXPECT_EQ(parameter_count(260'032), "260K");
  EXPECT_EQ(parameter_count(12), "12");
}

TEST(Report, InfoHasOllamasLayout) {
  const Json info = {{"architecture", "llama"}, {"parameters", 134'515'008},
                     {"n_ctx_train", 8192},     {"embedding_length", 576},
                     {"quantization", "Q4_1"},  {"license", "MIT\n\nline2\nline3\n"}};
  const std::string text =
      info_text(info, "m.gguf", "You are helpful.", {{"temperature", 0.5}, {"stop", {"<|im_end|>"}}});
  EXPECT_TRUE(
      text.starts_with("  Model\n"
                       "    architecture        llama      \n"
                       "    parameters          134.52M    \n"
                       "    context length      8192       \n"
                       "    embedding length    576        \n"
                       "    quantization        Q4_1       \n"
                       "\n"
                       "  Capabilities\n"
                       "    completion    \n"
                       "\n"
                       "  Parameters\n"
                       "    temperature    0.5             \n"
                       "    stop           \"<|im_end|>\"    \n"))
      << text;
  EXPECT_NE(
      text.find(
          "  System\n    You are helpful.    \n\n  License\n    MIT      \n    line2    \n    ...      \n\n"),
      std::string::npos)
      << text;
}

TEST(Report, OddJsonIsHarmless) {
  EXPECT_EQ(number_of(Json("x"), "a", 7), 7);
  EXPECT_EQ(number_of(Json({{"a", "text"}}), "a", 7), 7);
  EXPECT_EQ(number_of(Json({{"a", 1e300}}), "a", 7), 7);
  EXPECT_EQ(text_of(Json({{"a", 5}}), "a"), "");
  EXPECT_FALSE(info_text(Json::array(), "f", "", Json::object()).empty());
}

}  // namespace

}  // namespace quipu::cli

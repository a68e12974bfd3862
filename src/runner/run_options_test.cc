#include "runner/run_options.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "base/log.h"
#include "runner/kv_types.h"

namespace quipu::runner {
namespace {

Result<void> read(const Json& options, GenerateOptions& o) {
  UnknownOptions unknown;
  return read_options(options, o, unknown);
}

std::string wrong(const Json& options) {
  GenerateOptions o;
  const auto done = read(options, o);
  if (done) return "fine";
  EXPECT_EQ(done.error().code, Code::kInvalidArgument);
  return done.error().message;
}

TEST(RunOptions, ReadsEveryOption) {
  GenerateOptions o;
  const auto done = read(Json::parse(R"({
    "temperature": 0.5, "top_k": 7, "top_p": 0.25, "min_p": 0.125, "typical_p": 0.75, "repeat_last_n": -1,
    "repeat_penalty": 1.25, "presence_penalty": -0.5, "frequency_penalty": 2, "seed": 42, "num_predict": 100,
    "num_keep": -1, "repeat_guard": false, "num_ctx": 1024, "num_thread": 3, "max_seconds": 1.5, "stop": ["a", "", "b"]})"),
                         o);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(o.sampling.temperature, 0.5f);
  EXPECT_EQ(o.sampling.top_k, 7);
  EXPECT_EQ(o.sampling.top_p, 0.25f);
  EXPECT_EQ(o.sampling.min_p, 0.125f);
  EXPECT_EQ(o.sampling.typical_p, 0.75f);
  EXPECT_EQ(o.sampling.repeat_last_n, -1);
  EXPECT_EQ(o.sampling.repeat_penalty, 1.25f);
  EXPECT_EQ(o.sampling.presence_penalty, -0.5f);
  EXPECT_EQ(o.sampling.frequency_penalty, 2.0f);
  EXPECT_EQ(o.sampling.seed, 42);
  EXPECT_EQ(o.num_predict, 100);
  EXPECT_EQ(o.num_keep, -1);
  EXPECT_FALSE(o.repeat_guard);
  EXPECT_EQ(o.n_ctx, 1024);
  EXPECT_EQ(o.n_threads, 3);
  EXPECT_EQ(o.max_seconds, 1.5);
  EXPECT_EQ(o.stop, (std::vector<std::string>{"a", "b"}));
}

TEST(RunOptions, NullAndUnknownOnesChangeNothing) {
  GenerateOptions o, untouched;
  ASSERT_TRUE(read(Json(), o));
  ASSERT_TRUE(
      read(Json::parse(R"({"temperature":null,"stop":null,"bogus":1,"num_gpu":99,"num_batch":512})"), o));
  EXPECT_EQ(o.sampling.temperature, untouched.sampling.temperature);
  EXPECT_TRUE(o.stop.empty());
  EXPECT_FALSE(o.num_predict);
}

TEST(RunOptions, IntegersAreTruncatedAndClamped) {
  GenerateOptions o;
  ASSERT_TRUE(
      read(Json::parse(R"({"num_ctx":2.9,"num_predict":-1.5,"top_k":1e12,"seed":18446744073709551615})"), o));
  EXPECT_EQ(o.n_ctx, 4) << "the least there is";
  EXPECT_EQ(o.num_predict, -1);
  EXPECT_EQ(o.sampling.top_k, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(o.sampling.seed, std::numeric_limits<int64_t>::max());
}

TEST(RunOptions, WrongTypesAreNamed) {
  EXPECT_EQ(wrong({{"num_ctx", "a"}}), "option \"num_ctx\" must be of type integer");
  EXPECT_EQ(wrong({{"temperature", true}}), "option \"temperature\" must be of type float32");
  EXPECT_EQ(wrong({{"repeat_guard", 1}}), "option \"repeat_guard\" must be of type boolean");
  EXPECT_EQ(wrong({{"stop", "x"}}), "option \"stop\" must be of type array");
  EXPECT_EQ(wrong({{"stop", Json::array({"x", 1})}}), "option \"stop\" must be of type an array of strings");
  EXPECT_EQ(wrong(Json::array()), "options must be an object");
}

TEST(RunOptions, ValuesOutOfRangeAreNamed) {
  EXPECT_EQ(wrong({{"max_seconds", -1}}), "option \"max_seconds\" must not be negative");
  for (const char* option : {R"({"temperature":1e39})", R"({"num_ctx":1e30})", R"({"seed":-1e300})"})
    EXPECT_NE(wrong(Json::parse(option)).find("out of range"), std::string::npos) << option;
}

TEST(RunOptions, TheCacheTypeBelongsToTheRequest) {
  const auto types = [](const char* options) -> std::string {
    GenerateOptions o;
    const auto done = read(Json::parse(options), o);
    if (!done) return std::string(code_name(done.error().code)) + ": " + done.error().message;
    return o.kv_types ? kv_types_name(*o.kv_types) : "the model's";
  };
  EXPECT_EQ(types("{}"), "the model's");
  EXPECT_EQ(types(R"({"kv_cache_type":null})"), "the model's");
  EXPECT_EQ(types(R"({"kv_cache_type":"f16"})"), "f16:f16");
  EXPECT_EQ(types(R"({"kv_cache_type":"f16:f32"})"), "f16:f32");
  EXPECT_EQ(types(R"({"kv_cache_type":"q8_0"})"), "q8_0:q8_0");
  EXPECT_TRUE(types(R"({"kv_cache_type":"x"})").starts_with("invalid_argument: option \"kv_cache_type\": "));
  EXPECT_EQ(types(R"({"kv_cache_type":16})"),
            "invalid_argument: option \"kv_cache_type\" must be of type string");
}

TEST(RunOptions, UnknownOnesAreWarnedOfOnce) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  UnknownOptions unknown;
  GenerateOptions o;
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(read_options({{"bogus", 1}, {"num_gpu", 9}, {"other", nullptr}}, o, unknown));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(read_options({{"made_up_" + std::to_string(i), 1}}, o, unknown));
  spdlog::set_default_logger(before);
  const std::string said = log.str();
  EXPECT_EQ(said.find("invalid option provided: bogus"), said.rfind("invalid option provided: bogus"));
  EXPECT_NE(said.find("bogus"), std::string::npos);
  EXPECT_EQ(said.find("num_gpu"), std::string::npos);
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 100) << "somebody is making them up";
}

TEST(KvTypesText, ReadsOneOrTwoNames) {
  EXPECT_EQ(kv_types_name(*parse_kv_types("f32")), "f32:f32");
  EXPECT_EQ(kv_types_name(*parse_kv_types("f16:f32")), "f16:f32");
  for (const char* text : {"", ":", "f16:", ":f16", "f16:f16:f16", "F16", "f16 "})
    EXPECT_EQ(parse_kv_types(text).error().code, Code::kInvalidArgument) << text;
  EXPECT_EQ(kv_types_name(*parse_kv_types("q8_0:q4_0")), "q8_0:q4_0");
  EXPECT_EQ(kv_types_name(*parse_kv_types("bf16")), "bf16:bf16");
}

}  // namespace
}  // namespace quipu::runner

#include "runner/run_options.h"

#include <gtest/gtest.h>

#include <limits>

#include "runner/kv_types.h"

namespace quipu::runner {
namespace {

using Json = nlohmann::json;

std::string wrong(const Json& options) {
  GenerateOptions o;
  const auto read = read_options(options, o);
  if (read) return "fine";
  EXPECT_EQ(read.error().code, Code::kInvalidArgument);
  return read.error().message;
}

TEST(RunOptions, ReadsEveryOption) {
  GenerateOptions o;
  const auto read = read_options(Json::parse(R"({
    "temperature": 0.5, "top_k": 7, "top_p": 0.25, "min_p": 0.125, "typical_p": 0.75, "repeat_last_n": -1,
    "repeat_penalty": 1.25, "presence_penalty": -0.5, "frequency_penalty": 2, "seed": 42, "num_predict": 100,
    "num_keep": -1, "repeat_guard": false, "num_ctx": 1024, "num_thread": 3, "max_seconds": 1.5, "stop": ["a", "", "b"]})"),
                                 o);
  ASSERT_TRUE(read) << read.error().message;
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
  ASSERT_TRUE(read_options(Json(), o));
  ASSERT_TRUE(read_options(
      Json::parse(R"({"temperature":null,"stop":null,"bogus":1,"num_gpu":99,"num_batch":512})"), o));
  EXPECT_EQ(o.sampling.temperature, untouched.sampling.temperature);
  EXPECT_TRUE(o.stop.empty());
  EXPECT_FALSE(o.num_predict);
}

TEST(RunOptions, IntegersAreTruncatedAndClamped) {
  GenerateOptions o;
  ASSERT_TRUE(read_options(
      Json::parse(R"({"num_ctx":2.9,"num_predict":-1.5,"top_k":1e12,"seed":18446744073709551615})"), o));
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

TEST(RunOptions, TheCacheTypeIsTheLoadedOne) {
  const auto check = [](const char* options) {
    const auto ok = check_kv_cache_type(Json::parse(options), "f16:f16");
    return ok ? std::string("fine") : ok.error().message;
  };
  EXPECT_EQ(check("{}"), "fine");
  EXPECT_EQ(check(R"({"kv_cache_type":null})"), "fine");
  EXPECT_EQ(check(R"({"kv_cache_type":"f16"})"), "fine");
  EXPECT_EQ(check(R"({"kv_cache_type":"f16:f16"})"), "fine");
  EXPECT_NE(
      check(R"({"kv_cache_type":"f32"})").find("loaded with a KV cache of type f16:f16; kv_cache_type f32"),
      std::string::npos);
  EXPECT_NE(check(R"({"kv_cache_type":"q8_0"})").find("q8_0 is not supported yet"), std::string::npos);
  EXPECT_EQ(check(R"({"kv_cache_type":16})"), "option \"kv_cache_type\" must be of type string");
}

TEST(KvTypesText, ReadsOneOrTwoNames) {
  EXPECT_EQ(kv_types_name(*parse_kv_types("f32")), "f32:f32");
  EXPECT_EQ(kv_types_name(*parse_kv_types("f16:f32")), "f16:f32");
  for (const char* text : {"", ":", "f16:", ":f16", "f16:f16:f16", "F16", "f16 "})
    EXPECT_EQ(parse_kv_types(text).error().code, Code::kInvalidArgument) << text;
  EXPECT_EQ(parse_kv_types("f16:q4_0").error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace quipu::runner

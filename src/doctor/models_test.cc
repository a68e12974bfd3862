#include "doctor/models.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace quipu::doctor {
namespace {

using Json = nlohmann::ordered_json;

Json change(const char* change, const char* fits = "yes") {
  return {{"change", change}, {"total", 1}, {"fits", fits}};
}

Json plan_of(const char* fits, Json alternatives = Json::array(), unsigned n_ctx = 8192) {
  return {{"memory",
           {{"kv", {{"planned", 0}, {"ceiling", 3u << 20}, {"type", "q8_0:q8_0"}}},
            {"total", {{"planned", 1u << 20}}}}},
          {"charge", 2u << 20},
          {"fits", fits},
          {"alternatives", std::move(alternatives)},
          {"texts", {{"num_ctx", n_ctx}}}};
}

// Every model is planned alike: with its full context, and as it would be served.
ModelSource source_of(std::vector<std::string> names, Result<Json> full, Result<Json> served,
                      StoredModel model = {.path = "/file", .n_ctx = 8192, .says_n_ctx = true}) {
  return {std::move(names), [model](const std::string&) { return Result<StoredModel>(model); },
          [=](const PlanRequest& request, std::chrono::milliseconds) {
            EXPECT_TRUE(request.n_ctx_is_default || request.n_parallel == 1);
            return request.n_ctx_is_default ? served : full;
          }};
}
ModelSource source_of(std::vector<std::string> names, const Result<Json>& plan) {
  return source_of(std::move(names), plan, plan);
}

TEST(ExamineModels, WhatFitsIsCounted) {
  EXPECT_EQ(examine_models({}, 1)[0].text, "none in the store");
  const auto found = examine_models(source_of({"a", "b"}, plan_of("yes")), 8 << 20);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].status, Status::kOk);
  EXPECT_EQ(found[0].text, "2 of 2 fit with their own num_ctx");
}

TEST(ExamineModels, WhatIsTooLongIsServedWithWhatFits) {
  const Json full = plan_of("tight",
                            Json::array({change("kv_cache_type=q8_0:q4_0"), change("kv_cache_type=q4_0"),
                                         change("num_ctx=2000"), change("quantization=Q4_0")})),
             served = plan_of("tight", Json::array({change("num_ctx=512")}), 1952);
  StoredModel m{.path = "/file", .n_ctx = 8192, .says_n_ctx = true};
  auto found = examine_models(source_of({"a"}, full, served, m), 3 << 20);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].status, Status::kWarn);
  EXPECT_EQ(
      found[0].text,
      "a: its num_ctx 8192 takes 4.0 MiB at full length, 3.0 MiB are for models; it is served with 1952");
  EXPECT_EQ(found[0].remedy, "QUIPU_KV_CACHE_TYPE=q8_0:q4_0, or PARAMETER num_ctx 1952 in its Modelfile");
  EXPECT_EQ(found[1].text, "0 of 1 fit with their own num_ctx");
  EXPECT_EQ(found[1].status, Status::kOk);

  // Its num_ctx comes from the settings, its cache type from its Modelfile.
  m.says_n_ctx = false;
  m.kv_cache_type = "f16";
  m.says_kv_cache_type = true;
  EXPECT_EQ(examine_models(source_of({"a"}, full, served, m), 3 << 20)[0].remedy,
            "PARAMETER kv_cache_type q8_0:q4_0 in its Modelfile, or PARAMETER num_ctx 1952 in its Modelfile "
            "(QUIPU_CONTEXT_LENGTH: for all)");
  // Not even its first 2,048 tokens fit; a cache that would be tight again is no remedy.
  found = examine_models(
      source_of({"a"}, plan_of("no", Json::array({change("kv_cache_type=q4_0", "tight")})), served, m),
      3 << 20);
  EXPECT_NE(found[0].text.find("; it is served with 1952"), std::string::npos) << found[0].text;
  EXPECT_TRUE(found[0].remedy.starts_with("PARAMETER num_ctx 1952 ")) << found[0].remedy;
}

TEST(ExamineModels, WhatSaysNoContextIsOnlySaid) {
  const auto found = examine_models(source_of({"a"}, plan_of("tight", Json::array({change("num_ctx=4096")})),
                                              plan_of("yes", {}, 4352), {.path = "/file"}),
                                    3 << 20);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].status, Status::kOk);
  EXPECT_EQ(found[0].text, "a: its 8192 tokens do not fit, it is served with 4352");
  EXPECT_EQ(found[0].remedy, "");
  EXPECT_EQ(found[1].status, Status::kOk);
}

TEST(ExamineModels, WhatDoesNotLoadSaysWhatWould) {
  const auto found = [](const Json& others, StoredModel m = {.path = "/file"}) {
    return examine_models(source_of({"a"}, plan_of("no"), plan_of("no", others, 512), m), 1 << 20)[0];
  };
  Finding f = found(Json::array({change("kv_cache_type=q4_0", "tight"), change("kv_cache_type=q4_1"),
                                 change("parallel=2"), change("quantization=Q4_0")}));
  EXPECT_EQ(f.status, Status::kWarn);
  EXPECT_EQ(f.text,
            "a: does not fit with num_ctx 512 and a KV cache in q8_0:q8_0: it needs 2.0 MiB, 1.0 MiB are for "
            "models");
  EXPECT_EQ(f.remedy, "QUIPU_KV_CACHE_TYPE=q4_0, or QUIPU_NUM_PARALLEL=2");
  // Only another file, with or without other settings.
  f = found(Json::array({change("quantization=Q4_0"), change("quantization=Q2_K")}));
  EXPECT_EQ(f.text, "a: does not fit at all: it needs 2.0 MiB, 1.0 MiB are for models");
  EXPECT_EQ(f.remedy, "a file in Q4_0");
  const Json several = Json::array({change("kv_cache_type=q4_0, quantization=Q4_0, num_ctx=736", "tight")});
  f = found(several);
  EXPECT_NE(f.text.find("does not fit at all"), std::string::npos) << f.text;
  EXPECT_EQ(f.remedy,
            "QUIPU_KV_CACHE_TYPE=q4_0 and PARAMETER num_ctx 736 in its Modelfile and a file in Q4_0");
  EXPECT_EQ(found(several, {.path = "/file", .says_kv_cache_type = true}).remedy,
            "PARAMETER kv_cache_type q4_0 and PARAMETER num_ctx 736 in its Modelfile and a file in Q4_0");
  // What is not known is not said.
  for (const char* odd : {"", "=", ", ", "x", "speed=3", "num_ctx=1, speed=3", "num_ctx"})
    EXPECT_NE(found(Json::array({change(odd)})).remedy.find("smaller model"), std::string::npos) << odd;
}

TEST(ExamineModels, WhatFitsNowhereSaysSo) {
  const Json no = plan_of("no", Json::array({change("quantization=Q4_0", "no")}), 512);
  const auto found = examine_models(source_of({"a"}, no), 1 << 20);
  EXPECT_EQ(found[0].text, "a: does not fit at all: it needs 2.0 MiB, 1.0 MiB are for models");
  EXPECT_NE(found[0].remedy.find("smaller model"), std::string::npos);
  // Whatever a plan looks like.
  for (const Json& odd :
       {Json::object(),
        Json{{"fits", 1}, {"memory", 2}, {"texts", 3}, {"alternatives", {1, Json::object()}}}})
    EXPECT_EQ(examine_models(source_of({"a"}, odd), 1)[0].status, Status::kWarn);
}

TEST(ExamineModels, ACacheTypeThatIsNone) {
  const auto found =
      examine_models(source_of({"a"}, plan_of("yes"), plan_of("yes"),
                               {.path = "/file", .bad_kv_cache_type = "z\x1b" + std::string(99, 'z')}),
                     1);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].status, Status::kWarn);
  EXPECT_EQ(found[0].text, "a: its kv_cache_type \"z\\x1b" + std::string(38, 'z') +
                               "\" is no type of cache: requests to it are refused");
  EXPECT_TRUE(found[0].remedy.starts_with("PARAMETER kv_cache_type q8_0 in its Modelfile"))
      << found[0].remedy;
  EXPECT_EQ(found[1].text, "0 of 1 fit with their own num_ctx");
}

TEST(ExamineModels, AsksForTheModelsOwnAndThenForWhatIsServed) {
  std::vector<std::vector<std::string>> asked;
  ModelSource source = source_of({"a"}, Json::object());
  source.read = [](const std::string&) -> Result<StoredModel> {
    return StoredModel{"/file", "/projector", 2, true, "q8_0", true, {}, 3, 4};
  };
  source.plan = [&](const PlanRequest& request, std::chrono::milliseconds) {
    asked.push_back(plan_arguments(request));
    return Result<Json>(plan_of("tight"));
  };
  examine_models(source, 7);
  const auto arguments = [](const char* parallel, const char* n_ctx) {
    return std::vector<std::string>{"quipu",      "plan",      "--json", "--budget",    "7",
                                    "--parallel", parallel,    n_ctx,    "4",           "--kv-cache-type",
                                    "q8_0",       "--threads", "3",      "--projector", "/projector",
                                    "--",         "/file"};
  };
  EXPECT_EQ(asked, (std::vector{arguments("1", "--num-ctx"), arguments("4", "--default-num-ctx")}));

  // Where nothing says a context, the whole of it, and what fits.
  asked.clear();
  source.read = [](const std::string&) -> Result<StoredModel> { return StoredModel{.path = "/file"}; };
  examine_models(source, 7);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(std::ranges::count(asked[0], "--num-ctx"), 1);
  EXPECT_EQ(std::ranges::count(asked[1], "--num-ctx") + std::ranges::count(asked[1], "--default-num-ctx"), 0);
}

TEST(ExamineModels, FiftyAtMostAndThoseThatCannotBePlanned) {
  std::vector<std::string> names;
  for (int i = 0; i < 73; ++i) names.push_back(std::to_string(100 + i));
  auto found = examine_models(source_of(names, error(Code::kUnsupported, "no such thing")), 1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(
      found[0].text,
      "0 of 50 fit with their own num_ctx; 50 cannot be planned (100: no such thing); 23 more not looked at");
  EXPECT_EQ(found[0].status, Status::kWarn);
  EXPECT_EQ(found[0].remedy, "pull or create it again, or remove it: quipu rm 100");
  // The second plan is not to be had, and the disk is slow.
  found = examine_models(source_of({"b", "a"}, plan_of("tight"), error(Code::kIo, "not in time")), 1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].text, "0 of 2 fit with their own num_ctx; 2 cannot be planned (a: not in time)");
  EXPECT_EQ(found[0].remedy, "try again: quipu plan a");
}

TEST(ExamineModels, TenThatDoNotFitAreShown) {
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) names.push_back(std::to_string(100 + i));
  auto found = examine_models(source_of(names, plan_of("no")), 1);
  ASSERT_EQ(found.size(), 11u);
  EXPECT_EQ(found[10].text, "0 of 12 fit with their own num_ctx; 10 of those that do not are shown");

  // First those of which something is wrong.
  ModelSource source = source_of(names, plan_of("tight"), plan_of("tight", Json::array(), 4096));
  source.read = [](const std::string& name) -> Result<StoredModel> {
    return StoredModel{.path = "/file", .n_ctx = name == "111" ? 8192 : 0};
  };
  found = examine_models(source, 1);
  ASSERT_EQ(found.size(), 11u);
  EXPECT_TRUE(found[0].text.starts_with("111: ")) << found[0].text;
  EXPECT_EQ(found[0].status, Status::kWarn);
  EXPECT_TRUE(found[1].text.starts_with("100: ")) << found[1].text;
  for (size_t i = 1; i < found.size(); ++i) EXPECT_EQ(found[i].status, Status::kOk);
}

}  // namespace
}  // namespace quipu::doctor

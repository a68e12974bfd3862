#include "doctor/models.h"

#include <gtest/gtest.h>

namespace quipu::doctor {
namespace {

using Json = nlohmann::ordered_json;

Json plan_of(const char* fits, Json alternatives) {
  return {{"memory", {{"kv", {{"planned", 0}, {"ceiling", 3u << 20}}}, {"total", {{"planned", 1u << 20}}}}},
          {"charge", 2u << 20},
          {"fits", fits},
          {"alternatives", std::move(alternatives)}};
}

// Every model is planned alike.
ModelSource source_of(std::vector<std::string> names, Result<Json> plan,
                      StoredModel model = {.path = "/file"}) {
  return {std::move(names), [model](const std::string&) { return Result<StoredModel>(model); },
          [plan](const PlanRequest&, std::chrono::milliseconds) { return plan; }};
}

TEST(ExamineModels, WhatFitsIsCounted) {
  EXPECT_EQ(examine_models({}, 1)[0].text, "none in the store");
  const auto found = examine_models(source_of({"a", "b"}, plan_of("yes", Json::array())), 8 << 20);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].status, Status::kOk);
  EXPECT_EQ(found[0].text, "2 of 2 fit with their own num_ctx");
}

TEST(ExamineModels, WhatIsTightHasANumberThatFits) {
  const Json others = {{{"change", "kv_cache_type=q4_0"}, {"total", 1}, {"fits", "yes"}},
                       {{"change", "num_ctx=2048"}, {"total", 1}, {"fits", "yes"}},
                       {{"change", "quantization=Q4_0"}, {"total", 1}, {"fits", "yes"}}};
  const auto found = examine_models(
      source_of({"a"}, plan_of("tight", others), {.path = "/file", .n_ctx_train = 8192}), 3 << 20);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].status, Status::kWarn);
  EXPECT_EQ(found[0].text,
            "a: its num_ctx 8192 takes 4.0 MiB at full length, 3.0 MiB are for models; num_ctx 2048 fits");
  EXPECT_EQ(
      found[0].remedy,
      "QUIPU_KV_CACHE_TYPE=q4_0, or PARAMETER num_ctx 2048 in its Modelfile (QUIPU_CONTEXT_LENGTH: for all)");
  EXPECT_EQ(found[1].text, "0 of 1 fit with their own num_ctx");
}

TEST(ExamineModels, WhatFitsNowhereSaysSo) {
  const Json others = {{{"change", "quantization=Q4_0"}, {"total", 1}, {"fits", "no"}}};
  const auto found = examine_models(source_of({"a"}, plan_of("no", others)), 1 << 20);
  EXPECT_EQ(found[0].text, "a: does not fit at all: it needs 2.0 MiB, 1.0 MiB are for models");
  EXPECT_NE(found[0].remedy.find("smaller model"), std::string::npos);
  // Whatever a plan looks like.
  for (const Json& odd :
       {Json::object(), Json{{"fits", 1}, {"memory", 2}, {"alternatives", {1, Json::object()}}}})
    EXPECT_EQ(examine_models(source_of({"a"}, odd), 1)[0].status, Status::kWarn);
}

TEST(ExamineModels, WhatFitsLeavesRoomForAllOutputs) {
  const Json others = Json::parse(R"([{"change":"num_ctx=2048","total":1,"fits":"yes"}])");
  ModelSource source = source_of({"a"}, Json::object(), {.path = "/file", .n_parallel = 4});
  source.plan = [&](const PlanRequest& request, std::chrono::milliseconds) {
    Json plan = plan_of("tight", others);
    if (request.n_parallel == 4) {
      EXPECT_EQ(request.n_ctx, 2048);
      // 2,048 tokens of 1 KiB each for one sequence, and 80 KiB more than there is beside them.
      plan["memory"]["kv"] = {{"planned", 0}, {"ceiling", 8u << 20}, {"bytes_per_token", 1024u}};
      plan["memory"]["total"]["planned"] = (1u << 20) + (80u << 10);
    }
    return Result<Json>(plan);
  };
  const auto found = examine_models(source, 3 << 20);
  EXPECT_NE(found[0].text.find("num_ctx 1952 fits"), std::string::npos) << found[0].text;
}

TEST(ExamineModels, AsksForTheModelsOwn) {
  std::vector<std::string> asked;
  ModelSource source = source_of({"a"}, Json::object(), {"/file", "/projector", 2, 8192, true, "q8_0", 3});
  source.plan = [&](const PlanRequest& request, std::chrono::milliseconds) {
    asked = plan_arguments(request);
    return Result<Json>(plan_of("yes", Json::array()));
  };
  examine_models(source, 7);
  EXPECT_EQ(asked, (std::vector<std::string>{"quipu", "plan", "--json", "--budget", "7", "--parallel", "1",
                                             "--num-ctx", "4", "--kv-cache-type", "q8_0", "--threads", "3",
                                             "--projector", "/projector", "--", "/file"}));
}

TEST(ExamineModels, FiftyAtMostAndThoseThatCannotBePlanned) {
  std::vector<std::string> names;
  for (int i = 0; i < 73; ++i) names.push_back(std::to_string(100 + i));
  const auto found = examine_models(source_of(names, error(Code::kUnsupported, "no such thing")), 1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(
      found[0].text,
      "0 of 50 fit with their own num_ctx; 50 cannot be planned (100: no such thing); 23 more not looked at");
}

TEST(ExamineModels, TenThatDoNotFitAreShown) {
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) names.push_back(std::to_string(100 + i));
  const auto found = examine_models(source_of(names, plan_of("no", Json::array())), 1);
  ASSERT_EQ(found.size(), 11u);
  EXPECT_EQ(found[10].text, "0 of 12 fit with their own num_ctx; 10 of those that do not are shown");
}

}  // namespace
}  // namespace quipu::doctor

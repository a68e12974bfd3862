#include "base/log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

namespace quipu {
namespace {

class Log : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    unsetenv("QUIPU_LOG_FORMAT");
    unsetenv("OLLAMA_DEBUG");
  }
  template <class F>
  static std::string logged(F f, bool verbose = false) {
    init_log(verbose);
    testing::internal::CaptureStderr();
    f();
    spdlog::default_logger()->flush();
    return testing::internal::GetCapturedStderr();
  }
  static spdlog::level::level_enum level(const char* debug, bool verbose = false) {
    if (debug != nullptr) setenv("OLLAMA_DEBUG", debug, 1);
    init_log(verbose);
    clear();
    return spdlog::default_logger()->level();
  }
};

TEST_F(Log, LevelsComeFromTheEnvironment) {
  using namespace spdlog::level;
  EXPECT_EQ(level(nullptr), warn);
  EXPECT_EQ(level(nullptr, true), info);
  for (const char* off : {"", "0", "false", "F", " 0 ", "\"False\""}) EXPECT_EQ(level(off), warn) << off;
  for (const char* on : {"1", "true", "T", "yes", " '1' "}) EXPECT_EQ(level(on), debug) << on;
  EXPECT_EQ(level("2"), trace);
  EXPECT_EQ(level("1", true), debug);
}

// A server starts the log twice: as every command does, and then as one that says more.
TEST_F(Log, ABadFormatIsToldOnce) {
  spdlog::drop("quipu");
  setenv("QUIPU_LOG_FORMAT", "xml", 1);
  testing::internal::CaptureStderr();
  init_log();
  init_log(true);
  spdlog::warn("text");
  spdlog::default_logger()->flush();
  const std::string log = testing::internal::GetCapturedStderr();
  const size_t told = log.find("QUIPU_LOG_FORMAT=xml");
  ASSERT_NE(told, std::string::npos) << log;
  EXPECT_EQ(log.find("QUIPU_LOG_FORMAT", told + 1), std::string::npos) << log;
  EXPECT_TRUE(log.ends_with(" W text\n")) << log;
}

TEST_F(Log, TextIsOneLine) {
  const std::string line = logged([] {
    spdlog::info("not shown");
    spdlog::warn("the model {} is slow", "x");
  });
  EXPECT_TRUE(line.ends_with(" W the model x is slow\n")) << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST_F(Log, TextIsOneLineWhateverTheMessageSays) {
  const std::string line =
      logged([] { spdlog::warn("a\r\n2026-01-01T00:00:00.000 I forged\x1b[2J\x7f \u00e9\t\xff"); });
  EXPECT_TRUE(line.ends_with(" W a\\x0d\\n2026-01-01T00:00:00.000 I forged\\x1b[2J\\x7f \u00e9\\x09\xff\n"))
      << line;
}

TEST_F(Log, JsonIsJsonWhateverTheMessageSays) {
  setenv("QUIPU_LOG_FORMAT", "json", 1);
  const std::pair<std::string, std::string> messages[] = {
      {"plain", "plain"},
      {"\"quotes\" and \\ and \n\t\x01", "\"quotes\" and \\ and \n\t\x01"},
      {std::string("zero \0 byte", 11), std::string("zero \0 byte", 11)},
      {"caf\u00e9 \u65e5 \U0001F600", "caf\u00e9 \u65e5 \U0001F600"},
      {"bad \xff \xc3 \xe2\x82 \xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80",
       "bad \ufffd \ufffd \ufffd\ufffd \ufffd\ufffd\ufffd \ufffd\ufffd \ufffd\ufffd\ufffd\ufffd"},
      {"{\"message\":\"}", "{\"message\":\"}"},
      {"cut off \xf0\x9f", "cut off \ufffd\ufffd"}};
  for (const auto& [message, expected] : messages) {
    const std::string line = logged([&] { spdlog::error("{}", message); });
    ASSERT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    const auto j = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(j.is_object()) << line;
    EXPECT_EQ(j["message"], expected);
    EXPECT_EQ(j["level"], "error");
    EXPECT_TRUE(j["pid"].is_number());
    EXPECT_TRUE(j["time"].is_string());
  }
}

}  // namespace
}  // namespace quipu

#include "base/unknown_options.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "base/log.h"

namespace quipu {
namespace {

TEST(UnknownOptions, WhoeverMakesNamesUpFillsNeitherTheLogNorMemory) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  UnknownOptions unknown;
  for (int i = 0; i < 3; ++i) unknown.warn("bogus");
  unknown.warn(std::string(100, 'x'));
  unknown.warn(std::string(1'000'000, 'y'));
  for (int i = 0; i < 1000; ++i) unknown.warn("made_up_" + std::to_string(i));
  spdlog::set_default_logger(before);
  const std::string said = log.str();
  EXPECT_EQ(said.find("invalid option provided: bogus\n"), said.rfind("invalid option provided: bogus"));
  EXPECT_NE(said.find(": " + std::string(100, 'x') + "\n"), std::string::npos);
  EXPECT_NE(said.find(": " + std::string(100, 'y') + "…\n"), std::string::npos);
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 100);
}

}  // namespace
}  // namespace quipu

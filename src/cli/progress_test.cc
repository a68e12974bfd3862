#include "cli/progress.h"

#include <gtest/gtest.h>

#include "cli/test_console.h"
#include "cli/text_table.h"
#include "cli/transfer.h"

namespace quipu::cli {

namespace {

TEST(Progress, Bars) {
  EXPECT_EQ(bar_line("pulling 941f309b54ca:", 36'400'000, 98'362'432, 12'000'000, 80),
            "pulling 941f309b54ca:  37% ▕██████            ▏  36 MB/ 98 MB   12 MB/s      5s");
  EXPECT_EQ(bar_line("pulling 941f309b54ca:", 98'362'432, 98'362'432, 12'000'000, 80),
            "pulling 941f309b54ca: 100% ▕██████████████████▏  98 MB                         ");
  for (const int columns : {80, 100, 60}) {
    EXPECT_EQ(display_width(bar_line("x:", 1, 3, 1, columns)), static_cast<size_t>(columns - 1)) << columns;
    EXPECT_EQ(display_width(bar_line("x:", 1, 3, 0, columns)), static_cast<size_t>(columns - 1)) << columns;
  }
  EXPECT_EQ(bar_line("pulling 941f309b54ca:", 1, 2, 0, 20).find("▕"), std::string::npos);  // no room
  EXPECT_NE(bar_line("x", 5, 3, 0, 80).find("100%"), std::string::npos);
  EXPECT_NE(bar_line("x", 0, 0, 0, 80).find("100%"), std::string::npos);
  EXPECT_NE(bar_line("x", 1, UINT64_MAX, 1, 80).find("99h+"), std::string::npos);
}

TEST(Progress, PlainLinesWithoutATerminal) {
  test::CapturedConsole c;
  {
    Progress p(c.console());
    p.step("pulling manifest");
    p.step("pulling manifest");
    p.transfer("pulling 941f309b54ca:", 1, 98'362'432);
    p.transfer("pulling 941f309b54ca:", 98'362'432, 98'362'432);
    p.step("success");
    p.tick();
  }
  EXPECT_EQ(c.take_err(), "pulling manifest\npulling 941f309b54ca: 98 MB\nsuccess\n");
  EXPECT_EQ(c.take_out(), "");
}

TEST(Progress, FollowsAStream) {
  test::CapturedConsole c;
  test::FakeApi api;
  api.replies.push_back({.done = Json::parse(R"({"status":"pulling 94","digest":"sha256:94","total":5})")});
  api.replies.push_back(
      {.done = Json::parse(R"({"status":"pulling 94","digest":"sha256:94","total":5,"completed":3})")});
  api.replies.push_back({.done = {{"status", "success"}}});
  api.replies.push_back({.failure = {Code::kInternal, "pull model manifest: file does not exist", {}}});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pull_model(api, "m", i == 2, c.console()));
  EXPECT_EQ(c.take_err(), "pulling 94: 5 B\nsuccess\n");  // not before something has moved
  EXPECT_EQ(api.requests[0].body.dump(), R"({"model":"m"})");
  EXPECT_EQ(api.requests[2].body.dump(), R"({"model":"m","insecure":true})");
  EXPECT_EQ(pull_model(api, "m", false, c.console()).error().message,
            "pull model manifest: file does not exist");
}

}  // namespace

}  // namespace quipu::cli

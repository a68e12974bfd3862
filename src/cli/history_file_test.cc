#include "cli/history_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace quipu::cli {

namespace {

class History : public testing::Test {
 protected:
  History() {
    std::string name = testing::TempDir() + "quipu-history-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~History() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(History, KeepsLinesInOrderAndPrivate) {
  const std::filesystem::path path = folder_ / "below" / "history";
  const HistoryFile file(path);
  EXPECT_TRUE(file.read().empty());
  file.append("first");
  file.append("two\nlines \\n");
  EXPECT_EQ(file.read(), (std::vector<std::string>{"first", "two\nlines \\n"}));
  struct stat facts{};
  ASSERT_EQ(stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);  // no leftovers
}

TEST_F(History, KeepsTheLastHundred) {
  const HistoryFile file(folder_ / "history");
  for (int i = 0; i < 120; ++i) file.append(std::to_string(i));
  const auto lines = file.read();
  ASSERT_EQ(lines.size(), HistoryFile::kMostLines);
  EXPECT_EQ(lines.front(), "20");
  EXPECT_EQ(lines.back(), "119");
}

TEST_F(History, LeavesOddFilesAlone) {
  const std::filesystem::path link = folder_ / "link";
  std::filesystem::create_symlink("/dev/null", link);
  HistoryFile(link).append("secret");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  HistoryFile("/proc/nowhere/history").append("x");  // cannot be written: no harm
  HistoryFile("").append("x");
  EXPECT_TRUE(HistoryFile("").read().empty());
}

TEST_F(History, EnvironmentDecides) {
  setenv("QUIPU_HISTORY", "/somewhere/h", 1);
  EXPECT_EQ(HistoryFile::from_environment().path(), "/somewhere/h");
  setenv("OLLAMA_NOHISTORY", "1", 1);
  EXPECT_EQ(HistoryFile::from_environment().path(), "");
  setenv("OLLAMA_NOHISTORY", "0", 1);
  unsetenv("QUIPU_HISTORY");
  setenv("HOME", "/home/ada", 1);
  EXPECT_EQ(HistoryFile::from_environment().path(), "/home/ada/.quipu/history");
  unsetenv("OLLAMA_NOHISTORY");
}

}  // namespace

}  // namespace quipu::cli

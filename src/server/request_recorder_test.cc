#include "server/request_recorder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace quipu::server {
namespace {

std::map<std::string, std::string> files_in(const std::string& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string name = entry.path().filename();
    out[name.substr(name.find('_') + 1)] = std::string(std::istreambuf_iterator<char>(in), {});
  }
  return out;
}

TEST(RequestRecorder, KeepsBodiesAndScripts) {
  auto recorder = RequestRecorder::create(testing::TempDir(), "http://127.0.0.1:1");
  ASSERT_TRUE(recorder) << recorder.error().message;
  const std::string folder = (*recorder)->folder();
  struct stat facts{};
  ASSERT_EQ(stat(folder.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);

  const std::string body("{\"model\":\"it's\"}\0\xff", 18);
  (*recorder)->record("/api/chat", body);
  (*recorder)->record("/v1/chat/completions", "{}");
  (*recorder)->record("/api/create", "{}");
  (*recorder)->record("/api/../../etc", "{}");
  const auto files = files_in(folder);
  ASSERT_EQ(files.size(), 4u);
  EXPECT_EQ(files.at("1_chat_body.json"), body);
  EXPECT_NE(files.at("1_chat_request.sh").find("\"${OLLAMA_HOST:-http://127.0.0.1:1}/api/chat\""),
            std::string::npos);
  EXPECT_TRUE(files.contains("2_chat_completions_request.sh"));
  std::filesystem::remove_all(folder);
}

TEST(RequestRecorder, WithoutAFolderThereIsNone) {
  EXPECT_EQ(RequestRecorder::create("/nonexistent", "").error().code, Code::kIo);
}

}  // namespace
}  // namespace quipu::server

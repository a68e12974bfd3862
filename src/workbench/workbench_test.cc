#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>

#include "base/test_data.h"
#include "gguf/temporary_folder.h"
#include "workbench/command_line.h"
#include "workbench/kld_base.h"
#include "workbench/output_file.h"
#include "workbench/running_server.h"

namespace quipu::workbench {
namespace {

using quipu::gguf::test::TemporaryFolder;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(ParseIds, ReadsLists) {
  EXPECT_EQ(*parse_ids("1,2,3"), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(*parse_ids(" 7, 0\n2147483647 "), (std::vector<int32_t>{7, 0, 2147483647}));
  for (const char* text : {"", " ,", "x", "1,x", "1x", "1.5", "-1", "2147483648", "1;2", "0x10",
                           "1,2,99999999999999999999", "1,,2", ",1", "1,"})
    EXPECT_EQ(parse_ids(text).error().code, Code::kInvalidArgument) << text;
}

TEST(RunningServer, WhatAModelIsChargedIsFreeForIt) {
  const Json loaded = Json::parse(R"({"models":[{"name":"smol:latest","quipu":{"charge":300}},
      {"name":"big:latest","quipu":{"charge":500}}],"quipu":{"machine":{"budget":1000,"admitted":800,"free":200}}})");
  EXPECT_EQ(free_for(loaded, "smol:latest"), 500u);
  EXPECT_EQ(free_for(loaded, "big:latest"), 700u);
  EXPECT_EQ(free_for(loaded, "other:latest"), 200u);
  EXPECT_EQ(free_for(loaded, ""), 200u);
  Json less = loaded;  // less than is charged: the cgroup's limit was lowered
  less["quipu"]["machine"]["budget"] = 600u;
  EXPECT_EQ(free_for(less, "smol:latest"), 100u);
  EXPECT_EQ(free_for(less, ""), 0u);
  for (const char* said : {"{}", R"({"models":[]})", R"({"quipu":{"machine":{"budget":"x","admitted":1}}})"})
    EXPECT_EQ(free_for(Json::parse(said), "smol:latest"), std::nullopt) << said;
}

TEST(ContextSetting, IsTheServers) {
  for (const char* name : {"QUIPU_CONTEXT_LENGTH", "OLLAMA_CONTEXT_LENGTH"}) {
    setenv(name, "4096", 1);
    EXPECT_EQ(context_setting(), 4096);
    setenv(name, "x", 1);
    EXPECT_EQ(context_setting(), 0);
    unsetenv(name);
  }
  EXPECT_EQ(context_setting(), 0);
}

TEST(ReadText, AnyBytesAndClearErrors) {
  const TemporaryFolder folder;
  const std::string content("a\0\xff\r\n", 5);
  EXPECT_EQ(*read_text(folder.write("t", content)), content);
  EXPECT_EQ(*read_text(folder.write("empty", "")), "");
  EXPECT_NE(read_text(folder.path()).error().message.find("directory"), std::string::npos);
  EXPECT_EQ(read_text(folder / "none").error().code, Code::kIo);
}

TEST(OutputFile, AppearsWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "old");
  {
    auto out = OutputFile::create(path);
    ASSERT_TRUE(out) << out.error().message;
    ASSERT_TRUE(out->append(bytes(std::string(1'000'000, 'x'))));
  }
  EXPECT_EQ(quipu::test::read_file(path), "old");
  EXPECT_EQ(folder.count(), 1u);
  auto out = OutputFile::create(path);
  ASSERT_TRUE(out);
  ASSERT_TRUE(out->append(bytes(std::string(1'000'000, 'x'))));
  ASSERT_TRUE(out->append(bytes("end")));
  ASSERT_TRUE(out->finish());
  EXPECT_EQ(quipu::test::read_file(path), std::string(1'000'000, 'x') + "end");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(OutputFile, WritesToDevicesAsTheyAre) {
  auto null = OutputFile::create("/dev/null");
  ASSERT_TRUE(null);
  ASSERT_TRUE(null->append(bytes("x")));
  ASSERT_TRUE(null->finish());
  struct stat facts{};
  ASSERT_EQ(stat("/dev/null", &facts), 0);
  EXPECT_TRUE(S_ISCHR(facts.st_mode)) << "not replaced by a file";
  auto full = OutputFile::create("/dev/full");
  ASSERT_TRUE(full);
  ASSERT_TRUE(full->append(bytes("x")));
  EXPECT_EQ(full->finish().error().code, Code::kIo);
}

TEST(OutputFile, SaysWhatCannotBeWritten) {
  const TemporaryFolder folder;
  EXPECT_EQ(OutputFile::create(folder.path()).error().message,
            "cannot write " + folder.path() + ": it is a folder");
  EXPECT_NE(OutputFile::create(folder / "none/x").error().message.find("none/x"), std::string::npos);
}

class KldBase : public testing::Test {
 protected:
  static KldHeader header() { return {.n_vocab = 4, .n_ctx = 8, .tokens = {3, 1, 2}}; }
  std::string saved() {
    auto w = KldWriter::create(folder_ / "base", header());
    EXPECT_TRUE(w);
    EXPECT_TRUE(w->row(kRow));
    EXPECT_TRUE(w->row(std::vector<float>(4, std::log(0.25f))));
    EXPECT_TRUE(w->finish());
    return folder_ / "base";
  }
  // Logarithms of 0.3, 0.15, 0.5497, 0.0003: they add up to 1.
  const std::vector<float> kRow = {std::log(0.3f), std::log(0.15f), std::log(0.5497f), std::log(0.0003f)};
  TemporaryFolder folder_;
};

TEST_F(KldBase, KeepsRowsToAFewTenThousandths) {
  auto r = KldReader::open(saved());
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->header().n_vocab, 4u);
  EXPECT_EQ(r->header().n_ctx, 8u);
  EXPECT_EQ(r->header().tokens, header().tokens);
  std::vector<float> row(4);
  ASSERT_TRUE(r->row(row));
  double sum = 0, divergence = 0;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(row[i], kRow[i], 7.5 / 65535);
    sum += std::exp(static_cast<double>(row[i]));
    divergence += std::exp(static_cast<double>(row[i])) * (static_cast<double>(row[i]) - kRow[i]);
  }
  EXPECT_NEAR(sum, 1, 1e-6) << "what was rounded is a distribution again";
  EXPECT_GE(divergence, -1e-7);
  ASSERT_TRUE(r->row(row));
  for (const float v : row) EXPECT_NEAR(v, std::log(0.25f), 1e-6);
  EXPECT_EQ(r->row(row).error().code, Code::kCorrupt) << "there are no more";
}

TEST_F(KldBase, DamagedFilesAreRefused) {
  const std::string whole = quipu::test::read_file(saved());
  for (size_t n = 0; n < whole.size(); ++n) {
    auto r = KldReader::open(folder_.write("cut", whole.substr(0, n)));
    if (!r) {
      EXPECT_EQ(r.error().code, Code::kCorrupt);
      continue;
    }
    std::vector<float> row(4);
    EXPECT_FALSE(r->row(row) && r->row(row)) << n;
  }
  std::string lie = whole;
  lie.replace(8 + 4, 4, "\xff\xff\xff\x7f");  // n_vocab
  EXPECT_FALSE(KldReader::open(folder_.write("lie", lie)));
  lie = whole;
  lie.replace(8 + 12, 4, "\xff\xff\xff\x0f");  // n_tokens: more than there are
  EXPECT_FALSE(KldReader::open(folder_.write("lie", lie)));
}

}  // namespace
}  // namespace quipu::workbench

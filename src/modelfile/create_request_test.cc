#include "modelfile/create_request.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "modelfile/source_files.h"

namespace quipu::modelfile {
namespace {

namespace fs = std::filesystem;
const std::string kGguf("GGUF\x03\0\0\0", 8);

class CreateRequestTest : public testing::Test {
 protected:
  CreateRequestTest() {
    std::string name = fs::canonical(testing::TempDir()).string() + "/quipu-create-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  ~CreateRequestTest() override { fs::remove_all(folder_); }

  void put(const std::string& name, const std::string& content) {
    fs::create_directories(fs::path(folder_ + "/" + name).parent_path());
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
  }
  Result<CreateRequest> request(const std::string& text) {
    const auto file = parse_modelfile(text);
    if (!file) return std::unexpected(file.error());
    return make_create_request(*file, folder_);
  }
  std::vector<std::string> names(const std::string& text) {
    const auto r = request(text);
    if (!r) return {r.error().message};
    std::vector<std::string> out;
    for (const auto& [path, name] : names_below_common_folder(r->files)) out.push_back(name);
    return out;
  }

  std::string folder_;
};

using Names = std::vector<std::string>;

TEST_F(CreateRequestTest, AFolderOfGguf) {
  put("b.gguf", kGguf);
  put("a.gguf", kGguf + "x");
  put("notes.txt", "x");
  put("config.json", "{}");
  EXPECT_EQ(names("FROM .\n"), (Names{"a.gguf", "b.gguf", "config.json"}));
  EXPECT_EQ(names("FROM " + folder_ + "/\n"), (Names{"a.gguf", "b.gguf", "config.json"}));
  EXPECT_EQ(names("FROM ./x/..\n"), (Names{"a.gguf", "b.gguf", "config.json"}));
}

TEST_F(CreateRequestTest, SafetensorsGoFirst) {
  put("m/model-00001-of-00002.safetensors", "x");
  put("m/model-00002-of-00002.safetensors", "y");
  put("m/consolidated.safetensors", "z");
  put("m/x.gguf", kGguf);
  put("m/config.json", "{}");
  put("m/1_Pooling/config.json", "{}");
  put("m/1_Pooling/model.safetensors", "w");
  put("m/tokenizer.model", "\x01");
  put("m/chat_template.jinja", "t");
  put("m/deep/er/config.json", "{}");
  EXPECT_EQ(
      names("FROM m\n"),
      (Names{"1_Pooling/config.json", "1_Pooling/model.safetensors", "chat_template.jinja", "config.json",
             "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "tokenizer.model"}));
}

TEST_F(CreateRequestTest, PointersOfLargeFileStorageAreNoWeights) {
  put("pytorch_model.bin", "version https://git-lfs.github.com/spec/v1\n");
  put("x.bin", kGguf);
  EXPECT_EQ(names("FROM .\n"), Names{"no Modelfile or safetensors files found"});  // one of the *.bin is text
  put("pytorch_model.bin", std::string("PK\x03\x04") + "zip");
  EXPECT_EQ(names("FROM .\n"), Names{"pytorch_model.bin"});
  put("y.json", std::string("\0", 1));
  EXPECT_EQ(names("FROM .\n"), Names{"invalid content type: expected text/plain for " + folder_ + "/y.json"});
}

TEST_F(CreateRequestTest, LinksMayNotLeadOut) {
  put("secret", kGguf);
  put("m/a.gguf", kGguf);
  fs::create_symlink(folder_ + "/m/a.gguf", folder_ + "/m/b.gguf");
  EXPECT_EQ(names("FROM m\n"), Names{"a.gguf"});  // the same file twice
  fs::create_symlink("../secret", folder_ + "/m/c.gguf");
  EXPECT_EQ(names("FROM m\n"), Names{"insecure path: ../secret"});
  fs::remove(folder_ + "/m/c.gguf");
  fs::create_directory_symlink(folder_ + "/m", folder_ + "/alias");
  EXPECT_EQ(names("FROM alias\n"), Names{"a.gguf"});
}

TEST_F(CreateRequestTest, WhatIsNoFileIsAName) {
  EXPECT_EQ(request("FROM ./nothing.gguf\n")->from, "./nothing.gguf");
  put("file", kGguf);
  EXPECT_EQ(request("FROM file/x\n").error().message, "stat " + folder_ + "/file/x: not a directory");
  EXPECT_EQ(request("FROM ~nobody-of-this-name/x\n").error().message,
            "failed to find user 'nobody-of-this-name': user: unknown user nobody-of-this-name");
  ASSERT_EQ(mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(request("FROM pipe\n").error().message, folder_ + "/pipe is neither a file nor a folder");
}

TEST_F(CreateRequestTest, FilesOfSeveralFoldersKeepTheirDifference) {
  put("a/x.gguf", kGguf);
  put("b/x.gguf", kGguf + "2");
  put("l.gguf", kGguf + "3");
  put("d.gguf", kGguf + "4");
  const auto r = request("FROM a/x.gguf\nFROM b/x.gguf\nADAPTER d.gguf\nADAPTER l.gguf\nDRAFT d.gguf\n");
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(to_json(*r).dump(), "{\"files\":{\"a/x.gguf\":\"" + digest_of(kGguf).text() +
                                    "\",\"b/x.gguf\":\"" + digest_of(kGguf + "2").text() +
                                    "\"},\"adapters\":{\"l.gguf\":\"" + digest_of(kGguf + "3").text() +
                                    "\"},\"draft_files\":{\"d.gguf\":\"" + digest_of(kGguf + "4").text() +
                                    "\"}}");
}

TEST_F(CreateRequestTest, DraftsAreOtherFilesThanTheModel) {
  put("m.gguf", kGguf);
  fs::create_symlink("m.gguf", folder_ + "/same.gguf");
  for (const char* text : {"FROM m.gguf\nDRAFT ./m.gguf\n", "DRAFT m.gguf\nFROM m.gguf\n"})
    EXPECT_EQ(request(text).error().message,
              "DRAFT must not reference the same local path as FROM: " + folder_ + "/m.gguf");
  EXPECT_FALSE(request("FROM m.gguf\nDRAFT same.gguf\n"));
}

TEST_F(CreateRequestTest, TheWholeBody) {
  const auto r = request(
      "FROM base\nTEMPLATE t\nSYSTEM s\nLICENSE l1\nLICENSE l2\nPARAMETER stop a\nPARAMETER stop "
      "b\nPARAMETER num_ctx 7\n"
      "PARAMETER mirostat 2\nMESSAGE user hi: there\nRENDERER r\nPARSER p\nREQUIRES v0.14\n");
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(
      to_json(*r).dump(),
      R"({"from":"base","template":"t","license":["l1","l2"],"system":"s","parameters":{"num_ctx":7,"stop":["a","b"]},)"
      R"("messages":[{"role":"user","content":"hi: there"}],"renderer":"r","parser":"p","requires":"0.14"})");
  EXPECT_EQ(r->warnings, Names{"warning: parameter mirostat is deprecated"});
}

TEST(ExpandPath, Forms) {
  EXPECT_EQ(*expand_path("/a//b/./c/../d/", "/x"), "/a/b/d");
  EXPECT_EQ(*expand_path("/../..", "/x"), "/");
  EXPECT_EQ(*expand_path("m.gguf", "/x/y"), "/x/y/m.gguf");
  EXPECT_EQ(*expand_path("../m.gguf", "/x/y/"), "/x/m.gguf");
  EXPECT_EQ(*expand_path("", "/x"), "/x");
  EXPECT_EQ(*expand_path("m", "y"), fs::current_path().string() + "/y/m");
  EXPECT_EQ(*expand_path("m", "."), fs::current_path().string() + "/m");
  setenv("HOME", "/home/me", 1);
  EXPECT_EQ(*expand_path("~", "/x"), "/home/me");
  EXPECT_EQ(*expand_path("~/a/../b", "/x"), "/home/me/b");
  EXPECT_TRUE(expand_path("~root/a", "/x")->ends_with("/a"));
  EXPECT_EQ(expand_path("~root/a", "/x")->find('~'), std::string::npos);
  EXPECT_EQ(*expand_path("a~", "/x"), "/x/a~");
}

}  // namespace
}  // namespace quipu::modelfile

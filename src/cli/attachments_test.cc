#include "cli/attachments.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace quipu::cli {

namespace {

namespace fs = std::filesystem;

class AttachmentsTest : public testing::Test {
 protected:
  AttachmentsTest() {
    std::string name = testing::TempDir() + "quipu-files-XXXXXX";
    folder = mkdtemp(name.data());
    write("cat.png", "\x89PNG\r\n\x1A\nrest");
    write("my dog (1).JPG", "\xFF\xD8\xFFrest");
    write("bird.webp", std::string("RIFF\0\0\0\0WEBPVP8 ", 16));
    write("song.wav", std::string("RIFF\0\0\0\0WAVEfmt ", 16));
    write("text.png", "plain text");
  }
  ~AttachmentsTest() override { fs::remove_all(folder); }
  void write(const char* name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
  }
  std::string path(const char* name) const { return (folder / name).string(); }
  // The text that is left and the files, for a prompt in which @ stands for the folder.
  std::string attached(std::string text) const {
    for (size_t at = 0; (at = text.find('@', at)) != std::string::npos;) text.replace(at, 1, folder.string());
    const auto a = attach_files(text);
    if (!a) return "error: " + a.error().message;
    std::string out = a->text;
    for (const Attachment& f : a->files)
      out += "|" + fs::path(f.path).filename().string() + (f.is_audio ? " (audio)" : "");
    return out;
  }

  fs::path folder;
};

TEST_F(AttachmentsTest, FindsFilesInText) {
  EXPECT_EQ(attached("what is @/cat.png ?"), "what is  ?|cat.png");
  EXPECT_EQ(attached("@/cat.png"), "|cat.png");
  EXPECT_EQ(attached("@/cat.png and @/bird.webp"), "and|cat.png|bird.webp");
  EXPECT_EQ(attached("hear @/song.wav."), "hear .|song.wav (audio)");
  EXPECT_EQ(attached("@/my dog (1).JPG is mine"), "is mine|my dog (1).JPG");
  EXPECT_EQ(attached("@/my\\ dog\\ \\(1\\).JPG is mine"), "is mine|my dog (1).JPG");
  EXPECT_EQ(attached("look at '@/cat.png' now"), "look at  now|cat.png");
  EXPECT_EQ(attached("look at \"@/cat.png\""), "look at|cat.png");
  EXPECT_EQ(attached("either/or @/cat.png"), "either/or|cat.png");
  EXPECT_EQ(attached("1/ 2 @/cat.png"), "1/ 2|cat.png");
}

TEST_F(AttachmentsTest, EverythingElseStays) {
  EXPECT_EQ(attached("  no files  "), "  no files  ");
  EXPECT_EQ(attached("/no/such/cat.png"), "/no/such/cat.png");
  EXPECT_EQ(attached("cat.png"), "cat.png");
  EXPECT_EQ(attached("@/cat.pngx"), folder.string() + "/cat.pngx");
  EXPECT_EQ(attached("@"), folder.string());
  EXPECT_EQ(attached(""), "");
  EXPECT_EQ(attached("./. .png /.png"), "./. .png /.png");
  EXPECT_EQ(attached("@/\ncat.png"), folder.string() + "/\ncat.png");
}

TEST_F(AttachmentsTest, RelativePaths) {
  const fs::path before = fs::current_path();
  fs::current_path(folder);
  EXPECT_EQ(attached("what is ./cat.png ?"), "what is  ?|cat.png");
  EXPECT_EQ(attached("what is ../" + folder.filename().string() + "/cat.png"), "what is|cat.png");
  fs::current_path(before);
}

TEST_F(AttachmentsTest, TheBytesDecide) {
  EXPECT_EQ(attached("@/text.png"),
            "error: invalid file type: '" + path("text.png") + "' is no JPEG, PNG, WebP or WAV");
}

TEST_F(AttachmentsTest, LongTextsEnd) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "/a.png /";
  EXPECT_EQ(attach_files(text)->text, text);
  EXPECT_TRUE(file_paths_in(std::string(1 << 20, '/')).empty());
}

TEST(Base64, PadsAsItShould) {
  EXPECT_EQ(encode_base64(""), "");
  EXPECT_EQ(encode_base64("f"), "Zg==");
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64("foo"), "Zm9v");
  EXPECT_EQ(encode_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encode_base64("\xFF\xFE\xFD"), "//79");
}

}  // namespace

}  // namespace quipu::cli

#include "base/digest.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace quipu {
namespace {

constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Digest, KnownValues) {
  EXPECT_EQ(digest_of("").hex(), kEmpty);
  EXPECT_EQ(digest_of("abc").text(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of(std::string(1'000'000, 'a')).file_name(),
            "sha256-cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(digest_of("").short_hex(), "e3b0c44298fc");
}

TEST(Digest, InPiecesAsInOne) {
  const std::string text =
      "the quick brown fox jumps over the lazy dog, twice and a third time for good measure";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Sha256 hash;
    hash.update(std::string_view(text).substr(0, cut));
    hash.update(std::string_view(text).substr(cut));
    EXPECT_EQ(hash.finish(), digest_of(text));
  }
}

TEST(Digest, OnlyTheWholeFormIsRead) {
  const std::string hex = kEmpty;
  for (const char* prefix : {"sha256:", "sha256-"}) {
    const auto d = Digest::parse(prefix + hex);
    ASSERT_TRUE(d);
    EXPECT_EQ(*d, digest_of(""));
  }
  std::string upper = hex;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(Digest::parse("sha256:" + upper)->hex(), hex);
  for (const std::string& bad :
       {std::string(), hex, "sha256:" + hex + "0", "sha256:" + hex.substr(1), "sha256_" + hex,
        "SHA256:" + hex, "sha512:" + hex, " sha256:" + hex, "sha256:" + hex + "\n",
        "sha256:" + hex.substr(1) + "g",
        std::string("sha256-../../../../../../../../../../../../../../../../../../../../etc/passwd"),
        "sha256:" + std::string(64, '\0')}) {
    const auto d = Digest::parse(bad);
    ASSERT_FALSE(d) << bad;
    EXPECT_EQ(d.error().message, "invalid digest format");
    EXPECT_EQ(d.error().code, Code::kInvalidArgument);
  }
}

TEST(Digest, OfAFile) {
  const std::string path = testing::TempDir() + "quipu-digest";
  const std::string content(3'000'001, 'q');
  std::ofstream(path, std::ios::binary) << content;
  const auto digest = digest_of_file(path);
  ASSERT_TRUE(digest);
  EXPECT_EQ(*digest, digest_of(content));
  std::remove(path.c_str());
  const auto gone = digest_of_file(path);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::kIo);
  EXPECT_FALSE(digest_of_file(testing::TempDir()));  // a folder
}

}  // namespace
}  // namespace quipu

#include <unistd.h>

#include "store/store_fixture.h"

namespace quipu::store {
namespace {

using namespace std::chrono_literals;
using test::StoreTest;
namespace fs = std::filesystem;

class Blobs : public StoreTest {};

TEST_F(Blobs, AreFoundUnderTheirDigest) {
  const auto written = store_->put_blob("hello blob");
  ASSERT_TRUE(written);
  EXPECT_EQ(written->digest, digest_of("hello blob"));
  EXPECT_EQ(written->bytes, 10u);
  EXPECT_FALSE(written->was_there);
  const std::string path = folder_ / "models/blobs/" + digest_of("hello blob").file_name();
  EXPECT_EQ(store_->blob_path(written->digest), path);
  EXPECT_EQ(test::content_of(path), "hello blob");
  EXPECT_EQ(store_->blob_bytes(written->digest), 10u);
  EXPECT_EQ(*store_->read_blob(written->digest, 10), "hello blob");
  EXPECT_EQ(store_->read_blob(written->digest, 9).error().code, Code::kCorrupt);
  EXPECT_EQ(store_->read_blob(digest_of("other"), 9).error().code, Code::kNotFound);
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0644});
}

TEST_F(Blobs, WrittenWithAnyMaskOthersMayRead) {
  const mode_t old = umask(0077);
  const Digest digest = put("private?");
  umask(old);
  struct stat info{};
  ASSERT_EQ(stat(store_->blob_path(digest).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0644});
}

TEST_F(Blobs, WhatIsThereIsKeptAndGetsTheTimeOfNow) {
  const Digest digest = put("x");
  test::set_age(store_->blob_path(digest), 2h);
  const auto again = store_->put_blob("x");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->was_there);
  EXPECT_LT(test::age_of(store_->blob_path(digest)), 1min);
  test::set_age(store_->blob_path(digest), 2h);
  EXPECT_TRUE(store_->use_blob(digest));
  EXPECT_LT(test::age_of(store_->blob_path(digest)), 1min);
  EXPECT_FALSE(store_->use_blob(digest_of("y")));
}

TEST_F(Blobs, ADamagedOneIsReplaced) {
  const Digest digest = put("whole");
  test::write_to(store_->blob_path(digest), "who");
  const auto again = store_->put_blob("whole");
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->was_there);
  EXPECT_EQ(test::content_of(store_->blob_path(digest)), "whole");
}

TEST_F(Blobs, InPiecesAndWithTheWrongDigest) {
  auto writer = store_->write_blob();
  ASSERT_TRUE(writer);
  for (const char* piece : {"he", "", "llo"}) ASSERT_TRUE(writer->append(std::string_view(piece)));
  const auto finished = writer->finish(nullptr, digest_of("other"));
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, Code::kInvalidArgument);
  EXPECT_EQ(finished.error().message, "digest mismatch, expected \"" + digest_of("other").text() +
                                          "\", got \"" + digest_of("hello").text() + "\"");
  EXPECT_TRUE(has(digest_of("hello")));
  EXPECT_FALSE(has(digest_of("other")));
  auto right = store_->write_blob();
  ASSERT_TRUE(right->append(std::string_view("right")));
  EXPECT_TRUE(right->finish(nullptr, digest_of("right")));
}

TEST_F(Blobs, WhatIsNotFinishedLeavesNothing) {
  {
    auto writer = store_->write_blob();
    ASSERT_TRUE(writer->append(std::string_view("half")));
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "models/blobs"));
}

TEST_F(Blobs, OfOldStoresAreRenamed) {
  const std::string hex = digest_of("old").hex();
  test::write_to(folder_ / ("models/blobs/sha256:" + hex), "old");
  test::write_to(folder_ / ("models/blobs/sha256:" + hex + "-partial"), "ol");
  reopen({});
  EXPECT_TRUE(has(digest_of("old")));
  EXPECT_TRUE(fs::exists(store_->layout().partial(digest_of("old"))));
  EXPECT_FALSE(fs::exists(folder_ / ("models/blobs/sha256:" + hex)));
}

TEST_F(Blobs, AreNotRemovedWhileHeldOrNamed) {
  const Digest held = put("held"), is_named = put("named"), free = put("free");
  write_model("m", {{std::string(media::kModel), is_named, 5, {}, {}}});
  const std::vector<Digest> all = {held, is_named, free, digest_of("absent")};
  {
    Store::Hold hold(*store_);
    hold.add(held);
    hold.add(held);
    EXPECT_EQ(store_->remove_unreferenced(all), 1u);
    EXPECT_TRUE(has(held));
    EXPECT_TRUE(has(is_named));
    EXPECT_FALSE(has(free));
  }
  EXPECT_EQ(store_->remove_unreferenced(all), 1u);
  EXPECT_FALSE(has(held));
  EXPECT_TRUE(has(is_named));
}

TEST_F(Blobs, AFileCanBecomeOne) {
  Store::Hold hold(*store_);
  const std::string path = store_->scratch_path();
  EXPECT_NE(path, store_->scratch_path());
  test::write_to(path, "made");
  const auto adopted = store_->adopt_file(path, hold);
  ASSERT_TRUE(adopted) << adopted.error().message;
  EXPECT_EQ(adopted->digest, digest_of("made"));
  EXPECT_FALSE(adopted->was_there);
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(test::content_of(store_->blob_path(adopted->digest)), "made");
  test::write_to(path, "made");
  EXPECT_TRUE(store_->adopt_file(path, hold)->was_there);
  EXPECT_FALSE(fs::exists(path));
  EXPECT_FALSE(store_->adopt_file(path, hold));
}

TEST(OpenStore, SaysWhatToDoWhenItCannot) {
  const test::Folder folder;
  test::write_to(folder / "file", "");
  const auto opened = Store::open(folder / "file/models");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kIo);
  EXPECT_NE(opened.error().message.find("QUIPU_MODELS"), std::string::npos);
}

TEST(OpenStore, SaysWhyItCannot) {
  const test::Folder folder;
  fs::permissions(folder.path(), fs::perms{0555});
  const bool root = ::geteuid() == 0;  // who may write everywhere
  if (root && ::seteuid(65534) != 0) GTEST_SKIP() << "root cannot be another user here";
  const auto opened = Store::open(folder.path());
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  fs::permissions(folder.path(), fs::perms{0755});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("/blobs: permission denied;"), std::string::npos)
      << opened.error().message;
}

TEST(OpenStore, RootFromTheEnvironment) {
  unsetenv("QUIPU_MODELS");
  unsetenv("OLLAMA_MODELS");
  setenv("HOME", "/home/me", 1);
  EXPECT_EQ(default_root(), "/home/me/.ollama/models");
  setenv("OLLAMA_MODELS", "/srv/models", 1);
  EXPECT_EQ(default_root(), "/srv/models");
  setenv("QUIPU_MODELS", " '/srv/quipu' ", 1);
  EXPECT_EQ(default_root(), "/srv/quipu");
  unsetenv("QUIPU_MODELS");
  unsetenv("OLLAMA_MODELS");
  unsetenv("OLLAMA_NOPRUNE");
  EXPECT_FALSE(Store::options_from_environment().no_prune);
  setenv("OLLAMA_NOPRUNE", "1", 1);
  EXPECT_TRUE(Store::options_from_environment().no_prune);
  setenv("OLLAMA_NOPRUNE", "false", 1);
  EXPECT_FALSE(Store::options_from_environment().no_prune);
  unsetenv("OLLAMA_NOPRUNE");
}

}  // namespace
}  // namespace quipu::store

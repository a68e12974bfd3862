// The process ends at every step of writing: what was there before is still there, or what was to be written
// is, never half of it.
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "store/store_fixture.h"

namespace quipu::store {
namespace {

using test::named;
namespace fs = std::filesystem;

constexpr int kCrashed = 77;

// Runs `write` in a child process that ends at step `n`. True: it did; false: there were fewer steps.
bool crash_at(int n, const std::string& root, const std::function<void(Store&)>& write) {
  const pid_t child = fork();
  if (child == 0) {
    int steps = 0;
    Store::Options options;
    options.step = [&] {
      if (++steps == n) _exit(kCrashed);
    };
    const auto store = Store::open(root, options);
    if (!store) _exit(1);
    write(**store);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == kCrashed || WEXITSTATUS(status) == 0));
  return WIFEXITED(status) && WEXITSTATUS(status) == kCrashed;
}

TEST(Crash, ABlobIsWholeOrNotThere) {
  const std::string content(300'000, 'q');
  bool ever_there = false;
  int n = 1;
  for (;; ++n) {
    const test::Folder folder;
    const bool crashed = crash_at(n, folder.path(), [&](Store& store) {
      auto writer = store.write_blob();
      for (int i = 0; i < 3; ++i) (void)writer->append(std::string_view(content).substr(0, 100'000));
      (void)writer->finish();
    });
    const auto store = Store::open(folder.path());
    ASSERT_TRUE(store);
    const auto bytes = (*store)->blob_bytes(digest_of(content));
    if (bytes) {
      EXPECT_EQ(test::content_of((*store)->blob_path(digest_of(content))), content) << n;
    }
    EXPECT_TRUE(bytes || !ever_there) << n;  // once a step has it, so have all later ones
    ever_there = bytes.has_value();
    // What is left over is nobody's, and goes.
    const auto pruned = (*store)->prune(std::chrono::system_clock::now() + std::chrono::hours(2));
    ASSERT_TRUE(pruned);
    EXPECT_TRUE(fs::is_empty(folder / "blobs")) << n;
    if (!crashed) break;
  }
  EXPECT_TRUE(ever_there);
  EXPECT_GE(n, 8);
}

TEST(Crash, AManifestIsTheOldOrTheNewOne) {
  Manifest one, two;
  one.config = Layer{std::string(media::kConfig), digest_of("1"), 1, {}, {}};
  two.config = Layer{std::string(media::kConfig), digest_of("2"), 2, {}, {}};
  const std::string before = format_manifest(one), after = format_manifest(two);
  std::string seen;
  for (int n = 1;; ++n) {
    const test::Folder folder;
    {
      const auto store = Store::open(folder.path());
      ASSERT_TRUE((*store)->write_manifest(named("m"), before));
    }
    const bool crashed =
        crash_at(n, folder.path(), [&](Store& store) { (void)store.write_manifest(named("m"), after); });
    const auto store = Store::open(folder.path());
    const auto bytes = (*store)->read_manifest_bytes(named("m"));
    ASSERT_TRUE(bytes) << n;
    EXPECT_TRUE(*bytes == before || *bytes == after) << n;
    EXPECT_FALSE(seen == after && *bytes == before) << n;
    seen = *bytes;
    // No leftover is taken for a model, nor for a damaged one.
    EXPECT_EQ((*store)->list_names().size(), 1u) << n;
    EXPECT_EQ((*store)->list_manifests().size(), 1u) << n;
    ASSERT_TRUE((*store)->prune(std::chrono::system_clock::now() + std::chrono::hours(2)));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder / "manifests"), {}), 1) << n;
    if (!crashed) break;
  }
  EXPECT_EQ(seen, after);
}

TEST(Crash, ANewManifestIsThereOrNot) {
  const std::string after = format_manifest({});
  for (int n = 1;; ++n) {
    const test::Folder folder;
    const bool crashed =
        crash_at(n, folder.path(), [&](Store& store) { (void)store.write_manifest(named("u/m:t"), after); });
    const auto store = Store::open(folder.path());
    const auto bytes = (*store)->read_manifest_bytes(named("u/m:t"));
    if (bytes)
      EXPECT_EQ(*bytes, after) << n;
    else
      EXPECT_TRUE((*store)->list_names().empty()) << n;
    if (!crashed) {
      EXPECT_TRUE(bytes);
      break;
    }
  }
}

}  // namespace
}  // namespace quipu::store

#include "store/store_fixture.h"

namespace quipu::store {
namespace {

using namespace std::chrono_literals;
using test::named;
using test::StoreTest;
namespace fs = std::filesystem;

class Prune : public StoreTest {
 protected:
  std::string blob(const std::string& name, std::chrono::seconds age) {
    const std::string path = folder_ / ("models/blobs/" + name);
    test::write_to(path, name);
    test::set_age(path, age);
    return path;
  }
};

TEST_F(Prune, RemovesOldBlobsThatNobodyNames) {
  const Layer used = layer(media::kModel, "used");
  write_model("m", {used});
  test::set_age(store_->blob_path(used.digest), 48h);
  const std::string old = blob(digest_of("old").file_name(), 61min),
                    young = blob(digest_of("young").file_name(), 59min);
  const auto pruned = store_->prune();
  ASSERT_TRUE(pruned) << pruned.error().message;
  EXPECT_EQ(pruned->blobs, 1u);
  EXPECT_EQ(pruned->leftovers, 0u);
  EXPECT_TRUE(has(used.digest));
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  // An hour later it goes as well.
  EXPECT_EQ(store_->prune(std::chrono::system_clock::now() + 2h)->blobs, 1u);
  EXPECT_FALSE(fs::exists(young));
  EXPECT_TRUE(has(used.digest));
}

TEST_F(Prune, RemovesOldLeftovers) {
  const std::string hex = digest_of("p").file_name();
  const std::string temporary = blob("sha256-1234", 2h), other = blob("notes.txt", 2h),
                    ours = blob(".quipu-part-1-0", 2h);
  const std::string part = blob(hex + "-partial", 2h), state = blob(hex + "-partial-0", 3h);
  const std::string young = blob("sha256-5678", 1min);
  fs::create_directories(folder_ / "models/blobs/splits");
  const std::string manifest = folder_ / "models/manifests/.quipu-part-1-0",
                    mine = folder_ / "models/manifests/README";
  test::write_to(manifest, "{");
  test::set_age(manifest, 2h);
  test::write_to(mine, "x");
  test::set_age(mine, 2h);
  const auto pruned = store_->prune();
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->leftovers, 6u);
  for (const std::string& path : {temporary, other, ours, part, state, manifest})
    EXPECT_FALSE(fs::exists(path)) << path;
  EXPECT_TRUE(fs::exists(young));
  EXPECT_TRUE(fs::exists(mine));
  EXPECT_TRUE(fs::exists(folder_ / "models/blobs/splits"));
}

TEST_F(Prune, ADownloadThatGoesOnKeepsItsOldState) {
  const std::string hex = digest_of("p").file_name();
  const std::string part = blob(hex + "-partial", 1min), state = blob(hex + "-partial-0", 3h);
  ASSERT_TRUE(store_->prune());
  EXPECT_TRUE(fs::exists(part));
  EXPECT_TRUE(fs::exists(state));
}

TEST_F(Prune, RemovesEmptyFoldersOfManifests) {
  write_model("a", {});
  fs::create_directories(folder_ / "models/manifests/h/n/m");
  fs::create_directories(folder_ / "models/manifests/registry.ollama.ai/library/b");
  ASSERT_TRUE(store_->prune());
  EXPECT_FALSE(fs::exists(folder_ / "models/manifests/h"));
  EXPECT_FALSE(fs::exists(folder_ / "models/manifests/registry.ollama.ai/library/b"));
  EXPECT_TRUE(store_->read_manifest(named("a")));
}

TEST_F(Prune, TouchesNothingWhenAManifestIsDamaged) {
  const std::string old = blob(digest_of("old").file_name(), 2h);
  const std::string library = folder_ / "models/manifests/registry.ollama.ai/library/";
  for (const char* content : {"{\"schemaVersion\":2,", "", "[]"}) {
    test::write_to(library + "m/latest", content);
    const auto pruned = store_->prune();
    ASSERT_FALSE(pruned) << content;
    EXPECT_EQ(pruned.error().code, Code::kCorrupt);
    EXPECT_TRUE(fs::exists(old));
  }
  fs::remove_all(library + "m");
  test::write_to(library + "no name/latest", format_manifest({}));
  EXPECT_FALSE(store_->prune());
  EXPECT_TRUE(fs::exists(old));
  fs::remove_all(library);
  EXPECT_TRUE(store_->prune());
  EXPECT_FALSE(fs::exists(old));
}

TEST_F(Prune, KeepsWhatIsHeld) {
  const std::string old = blob(digest_of("old").file_name(), 2h);
  {
    Store::Hold hold(*store_);
    hold.add(digest_of("old"));
    EXPECT_EQ(store_->prune()->blobs, 0u);
  }
  EXPECT_EQ(store_->prune()->blobs, 1u);
}

}  // namespace
}  // namespace quipu::store

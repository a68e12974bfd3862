#include "store/store_fixture.h"

namespace quipu::store {
namespace {

using test::named;
using test::StoreTest;
namespace fs = std::filesystem;

class Manifests : public StoreTest {
 protected:
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const ModelName& name : store_->list_names()) out.push_back(name.short_name());
    std::ranges::sort(out);
    return out;
  }
  std::string resolved(std::string_view text) const { return store_->resolve(named(text)).full_name(); }
};

using Names = std::vector<std::string>;

TEST_F(Manifests, AreStoredByteForByte) {
  // Not as this program would write it: order, white space and a field of somebody else.
  const std::string bytes =
      "{ \"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\",\"schemaVersion\":2,\n "
      "\"x\":1,"
      "\"layers\":[],\"config\":{\"digest\":\"" +
      digest_of("c").text() + "\",\"size\":1,\"mediaType\":\"\"}}";
  ASSERT_TRUE(store_->write_manifest(named("u/m:t"), bytes));
  const std::string path = folder_ / "models/manifests/registry.ollama.ai/u/m/t";
  EXPECT_EQ(test::content_of(path), bytes);
  EXPECT_EQ(*store_->read_manifest_bytes(named("u/m:t")), bytes);
  const auto stored = store_->read_manifest(named("u/m:t"));
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_EQ(stored->digest, digest_of(bytes));
  EXPECT_EQ(stored->manifest.config->digest, digest_of("c"));
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0644});
  EXPECT_EQ(stored->modified_ns / 1'000'000'000, info.st_mtim.tv_sec);
  EXPECT_EQ(store_->read_manifest(named("u/m")).error().code, Code::kNotFound);
  EXPECT_EQ(store_->read_manifest(named("nope")).error().message, "model 'nope:latest' not found");
  EXPECT_EQ(store_->read_manifest(named("a b")).error().message, "invalid model name");
}

TEST_F(Manifests, NoNameLeavesTheFolder) {
  for (const char* text : {"..", "../../x", "a/..:x", "a/b:..", "/etc/passwd"})
    EXPECT_FALSE(store_->write_manifest(named(text), "{}")) << text;
  EXPECT_TRUE(fs::is_empty(folder_ / "models/manifests"));
}

TEST_F(Manifests, AreListedWithTheirHosts) {
  write_model("a", {});
  write_model("u/b:1", {});
  write_model("127.0.0.1:5005/u/c:x", {});
  EXPECT_EQ(names(), (Names{"127.0.0.1:5005/u/c:x", "a:latest", "u/b:1"}));
}

TEST_F(Manifests, WhatIsNoManifestIsLeftOut) {
  write_model("good", {});
  const std::string library = folder_ / "models/manifests/registry.ollama.ai/library/";
  test::write_to(library + "bad/latest", "{\"schemaVersion\":");
  test::write_to(library + "not!a-name/latest", "{}");
  test::write_to(library + "stray-file", "{}");
  test::write_to(library + "deep/er/latest", "{}");
  test::write_to(folder_ / "models/manifests/.DS_Store", "x");
  fs::create_directories(library + "folder/latest");
  fs::create_symlink("/nowhere", library + "good/dangling");
  const auto manifests = store_->list_manifests();
  ASSERT_EQ(manifests.size(), 1u);
  EXPECT_EQ(manifests[0].name.short_name(), "good:latest");
  EXPECT_EQ(names(), (Names{"bad:latest", "good:dangling", "good:latest"}));
}

TEST_F(Manifests, AppearAndGoWithoutThisProcess) {
  const std::string path = folder_ / "models/manifests/registry.ollama.ai/library/m/t";
  test::write_to(path, format_manifest({}));
  EXPECT_EQ(names(), Names{"m:t"});
  fs::remove(path);
  EXPECT_EQ(names(), Names{});
}

TEST_F(Manifests, NamesAreFoldedOntoStoredSpellings) {
  write_model("Smol:Latest", {});
  write_model("User/Other:V1", {});
  EXPECT_EQ(resolved("SMOL:LATEST"), "registry.ollama.ai/library/Smol:Latest");
  EXPECT_EQ(resolved("REGISTRY.ollama.AI/Library/smol"), "registry.ollama.ai/library/Smol:Latest");
  EXPECT_EQ(resolved("user/other:v1"), "registry.ollama.ai/User/Other:V1");
  // Part by part, from different names.
  EXPECT_EQ(resolved("user/smol:v1"), "registry.ollama.ai/User/Smol:V1");
  EXPECT_EQ(resolved("X/y:Z"), "registry.ollama.ai/X/y:Z");
  EXPECT_EQ(store_->resolve(named("http://registry.ollama.ai/library/smol")).scheme, "http");
}

TEST_F(Manifests, AnExactSpellingIsItself) {
  write_model("a/Model", {});
  write_model("b/model", {});
  write_model("c/x", {});
  EXPECT_EQ(resolved("b/model"), "registry.ollama.ai/b/model:latest");
  EXPECT_EQ(resolved("A/model"), "registry.ollama.ai/a/Model:latest");
  EXPECT_EQ(resolved("c/Model"), "registry.ollama.ai/c/Model:latest");
  EXPECT_EQ(resolved("c/model"), "registry.ollama.ai/c/model:latest");
}

TEST_F(Manifests, AreCopied) {
  write_model("a", {layer(media::kSystem, "s")});
  ASSERT_TRUE(store_->copy_manifest(named("a"), named("u/b:1")));
  EXPECT_EQ(*store_->read_manifest_bytes(named("a")), *store_->read_manifest_bytes(named("u/b:1")));
  EXPECT_TRUE(store_->copy_manifest(named("a"), named("a")));
  EXPECT_EQ(store_->copy_manifest(named("x"), named("y")).error().code, Code::kNotFound);
  EXPECT_EQ(store_->copy_manifest(named("x"), named("x")).error().code, Code::kNotFound);
}

TEST_F(Manifests, RemovingAModelRemovesWhatOnlyItNames) {
  const Layer shared = layer(media::kModel, "weights"), own = layer(media::kSystem, "own");
  const Manifest first = write_model("u/a:1", {shared, own});
  write_model("b", {shared});
  test::write_to(folder_ / "models/blobs/" + digest_of("stranger").file_name(), "stranger");
  ASSERT_TRUE(store_->remove_model(named("u/a:1")));
  EXPECT_TRUE(has(shared.digest));
  EXPECT_TRUE(has(first.config->digest));  // both have the same
  EXPECT_FALSE(has(own.digest));
  EXPECT_TRUE(has(digest_of("stranger")));  // nobody's, but not this model's
  EXPECT_FALSE(fs::exists(folder_ / "models/manifests/registry.ollama.ai/u"));
  EXPECT_EQ(store_->remove_model(named("u/a:1")).error().message, "model 'u/a:1' not found");
  ASSERT_TRUE(store_->remove_model(named("b")));
  EXPECT_FALSE(has(shared.digest));
  EXPECT_TRUE(fs::exists(folder_ / "models/manifests"));
  EXPECT_TRUE(fs::is_empty(folder_ / "models/manifests"));
}

TEST_F(Manifests, ADamagedOneKeepsTheBlobsItNames) {
  const Layer shared = layer(media::kModel, "weights");
  write_model("a", {shared});
  write_model("b", {shared});
  const std::string path = folder_ / "models/manifests/registry.ollama.ai/library/b/latest";
  test::write_to(path, test::content_of(path) + "}}}garbage");
  ASSERT_TRUE(store_->remove_model(named("a")));
  EXPECT_TRUE(has(shared.digest));
}

// A later Ollama may keep manifests as links to blobs beside the old place.
TEST_F(Manifests, LinksToBlobsAreReadAndReplaced) {
  const Layer weights = layer(media::kModel, "weights");
  Manifest manifest;
  manifest.layers = {weights};
  const std::string bytes = format_manifest(manifest);
  const Digest digest = put(bytes);
  const std::string link = folder_ / "models/manifests-v2/registry.ollama.ai/library/m/latest";
  fs::create_directories(fs::path(link).parent_path());
  fs::create_symlink(store_->blob_path(digest), link);
  EXPECT_EQ(names(), Names{"m:latest"});
  EXPECT_EQ(store_->read_manifest(named("m"))->digest, digest);
  EXPECT_EQ(resolved("M"), "registry.ollama.ai/library/m:latest");
  const std::vector<Digest> both = {weights.digest, digest};
  EXPECT_EQ(store_->remove_unreferenced(both), 0u);

  write_model("m", {});
  EXPECT_FALSE(fs::exists(link));
  EXPECT_TRUE(store_->read_manifest(named("m"))->manifest.layers.empty());
  fs::create_directories(fs::path(link).parent_path());
  fs::create_symlink(store_->blob_path(digest), link);
  ASSERT_TRUE(store_->remove_model(named("m")));
  EXPECT_EQ(names(), Names{});
  EXPECT_FALSE(has(weights.digest));
  EXPECT_FALSE(has(digest));
}

TEST(ManifestText, AsOllamaWritesIt) {
  Manifest manifest;
  manifest.config = Layer{std::string(media::kConfig), digest_of("c"), 7, {}, {}};
  manifest.layers = {{std::string(media::kModel), digest_of("m"), 9, "smol:latest", {}},
                     {std::string(media::kTemplate), digest_of("t"), 3, {}, "n"}};
  const std::string text =
      "{\"schemaVersion\":2,\"mediaType\":\"application/"
      "vnd.docker.distribution.manifest.v2+json\",\"config\":{\"mediaType\":"
      "\"application/vnd.docker.container.image.v1+json\",\"digest\":\"" +
      digest_of("c").text() +
      "\",\"size\":7},\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"" +
      digest_of("m").text() +
      "\",\"size\":9,\"from\":\"smol:latest\"},{\"mediaType\":\"application/"
      "vnd.ollama.image.template\",\"digest\":\"" +
      digest_of("t").text() + "\",\"size\":3,\"name\":\"n\"}]}\n";
  EXPECT_EQ(format_manifest(manifest), text);
  EXPECT_EQ(*parse_manifest(text), manifest);
  EXPECT_EQ(manifest.total_bytes(), 19u);
  EXPECT_EQ(*parse_manifest(format_manifest({})), Manifest());
}

TEST(ManifestText, WhatIsNone) {
  const std::string digest = digest_of("x").text();
  const auto with_layer = [](const std::string& layer) {
    return "{\"schemaVersion\":2,\"layers\":[" + layer + "]}";
  };
  for (const std::string& bad :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
        std::string("{\"schemaVersion\":\"2\"}"), std::string("{\"schemaVersion\":2,\"layers\":{}}"),
        with_layer("1"), with_layer("{}"), with_layer("{\"digest\":\"sha256:..\",\"size\":1}"),
        with_layer("{\"digest\":\"" + digest + "\"}"),
        with_layer("{\"digest\":\"" + digest + "\",\"size\":-1}"),
        with_layer("{\"digest\":\"" + digest + "\",\"size\":1.5}"),
        with_layer("{\"digest\":\"" + digest + "\",\"size\":1,\"from\":2}"),
        std::string("{\"schemaVersion\":2,\"manifests\":[]}"), std::string(200'000, '[')})
    EXPECT_FALSE(parse_manifest(bad)) << bad.substr(0, 80);
  EXPECT_TRUE(parse_manifest("{\"schemaVersion\":2}"));
  EXPECT_TRUE(
      parse_manifest("{\"schemaVersion\":2,\"layers\":null,\"config\":{\"digest\":\"\",\"size\":0}}"));
}

TEST(ManifestText, DigestsAreFoundInWhateverItIs) {
  const std::string a = digest_of("a").text(), b = digest_of("b").file_name();
  EXPECT_EQ(digests_in("{{\"" + a + "\",\"x" + b + "\"sha256:sha256-" + a.substr(0, 70)),
            (std::vector{digest_of("a"), digest_of("b")}));
  EXPECT_TRUE(digests_in("").empty());
  EXPECT_TRUE(digests_in("sha256sha256:").empty());
}

}  // namespace
}  // namespace quipu::store

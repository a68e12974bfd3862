// A store in a folder of its own, and small GGUF files to put into it. For tests only.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/writer.h"
#include "store/store.h"

namespace quipu::store::test {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "quipu-store-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_to(const std::string& path, std::string_view content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

inline void set_age(const std::string& path, std::chrono::seconds age) {
  const auto when = std::chrono::system_clock::now() - age;
  const timespec time = {std::chrono::system_clock::to_time_t(when), 0};
  const std::array<timespec, 2> times = {time, time};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW), 0) << path;
}

inline std::chrono::seconds age_of(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return std::chrono::seconds(-1);
  return std::chrono::seconds(time(nullptr) - info.st_mtim.tv_sec);
}

inline ModelName named(std::string_view text) { return parse_model_name(text); }

// A small file of this architecture: two weights and what describes them.
struct TinyGguf {
  std::string architecture = "llama";
  std::string kind = {}, chat_template = {};
  uint32_t file_type = 1;
  uint32_t blocks = 1, context = 128, width = 32;
  bool pooling = false;
  uint32_t split_number = 0, split_count = 0;
  std::vector<std::pair<std::string, uint32_t>> numbers = {};  // further keys, as they are
  std::vector<std::pair<std::string, bool>> flags = {};
  std::vector<std::string> tensors = {"token_embd.weight", "blk.0.attn_q.weight"};  // of width x 32 in F16
  char filling = 'x';

  std::string bytes() const {
    gguf::Writer writer;
    writer.add_string("general.architecture", architecture);
    writer.add_string("general.name", "tiny");
    if (!kind.empty()) writer.add_string("general.type", kind);
    if (file_type != UINT32_MAX) writer.add_uint32("general.file_type", file_type);
    if (blocks > 0) writer.add_uint32(architecture + ".block_count", blocks);
    if (context > 0) writer.add_uint32(architecture + ".context_length", context);
    if (width > 0) writer.add_uint32(architecture + ".embedding_length", width);
    writer.add_float32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
    writer.add_float32(architecture + ".rope.freq_base", 100000.0f);
    if (pooling) writer.add_uint32(architecture + ".pooling_type", 1);
    for (const auto& [key, value] : numbers) writer.add_uint32(key, value);
    for (const auto& [key, value] : flags) writer.add_bool(key, value);
    const std::vector<std::string> tokens = {"a", "b<", "\xff"};
    writer.add_strings("tokenizer.ggml.tokens", tokens);
    if (!chat_template.empty()) writer.add_string("tokenizer.chat_template", chat_template);
    if (split_count > 0) {
      writer.add_uint32("split.no", split_number);
      writer.add_uint32("split.count", split_count);
      writer.add_int32("split.tensors.count", static_cast<int32_t>(split_count));
    }
    const std::vector<std::byte> data(static_cast<size_t>(width) * 32 * 2, static_cast<std::byte>(filling));
    const std::array<int64_t, 2> shape = {static_cast<int64_t>(width), 32};
    for (const std::string& name : tensors)
      if (!writer.add_tensor(name, TensorType::kF16, shape, data)) std::abort();
    const auto bytes = writer.bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

class StoreTest : public testing::Test {
 protected:
  StoreTest() { reopen({}); }

  void reopen(Store::Options options) {
    auto opened = Store::open(folder_ / "models", std::move(options));
    if (!opened) std::abort();
    store_ = std::move(*opened);
  }
  Digest put(std::string_view content) { return store_->put_blob(content)->digest; }

  Layer layer(std::string_view media_type, std::string_view content) {
    const auto written = store_->put_blob(content);
    return {std::string(media_type), written->digest, written->bytes, {}, {}};
  }
  // A model of these layers, with a config that says little.
  Manifest write_model(std::string_view name, std::vector<Layer> layers) {
    Manifest manifest;
    manifest.config = layer(media::kConfig, "{\"model_format\":\"gguf\",\"model_family\":\"llama\"}\n");
    manifest.layers = std::move(layers);
    EXPECT_TRUE(store_->write_manifest(named(name), format_manifest(manifest)));
    return manifest;
  }
  bool has(const Digest& digest) const { return store_->blob_bytes(digest).has_value(); }

  Folder folder_;
  std::unique_ptr<Store> store_;
};

}  // namespace quipu::store::test

// The models on disk: blobs by their digest, manifests by their name, laid out as Ollama has them and shared
// with it in place. Spec: ollama-compat 5.
//
// Other processes (an Ollama, a second server) may use the same store at the same time. Whatever is written
// appears whole or not at all; a blob that is found present gets its time set to now, which keeps it from
// another server's pruning until a manifest names it.
//
// Threads: any function from any thread. A Store outlives its Holds and BlobWriters.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "gguf/atomic_file.h"
#include "modelfile/model_name.h"
#include "store/layout.h"
#include "store/manifest.h"

namespace quipu::store {

struct StoredManifest {
  ModelName name;
  Manifest manifest;
  Digest digest;            // of the file's bytes
  int64_t modified_ns = 0;  // since 1970
};

class Store {
 public:
  static constexpr mode_t kFileMode = 0644;

  struct Options {
    bool no_prune = false;             // blobs are removed only when their model is deleted
    std::chrono::seconds grace{3600};  // younger files are not pruned: somebody may be about to use them
    std::function<void()> step = {};   // between the steps of writing a file; for tests
  };
  // QUIPU_NOPRUNE, OLLAMA_NOPRUNE.
  static Options options_from_environment();

  // Makes what folders are missing, and gives blobs of old stores ("sha256:HEX") their name. The error says
  // what to do.
  static Result<std::unique_ptr<Store>> open(std::string root, Options options);
  static Result<std::unique_ptr<Store>> open(std::string root) { return open(std::move(root), Options()); }

  const Layout& layout() const { return layout_; }
  bool prunes() const { return !options_.no_prune; }

  // --- Blobs ---

  // Keeps blobs from being removed by this process while their manifest is not written yet.
  class Hold {
   public:
    explicit Hold(Store& store) : store_(&store) {}
    ~Hold() { release(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    void add(const Digest& digest);
    void release();  // all of them

   private:
    Store* store_;
    std::vector<Digest> digests_;
  };

  std::string blob_path(const Digest& digest) const { return layout_.blob(digest); }
  // Nothing: it is not there.
  std::optional<uint64_t> blob_bytes(const Digest& digest) const;
  // Is it there? Then its time becomes now.
  bool use_blob(const Digest& digest);
  // The whole of a small one; kNotFound, kIo, or kCorrupt for more than `limit` bytes.
  Result<std::string> read_blob(const Digest& digest, uint64_t limit) const;

  struct WrittenBlob {
    Digest digest;
    uint64_t bytes = 0;
    bool was_there = false;
  };
  class BlobWriter {
   public:
    Result<void> append(std::span<const std::byte> bytes);
    Result<void> append(std::string_view text) { return append(std::as_bytes(std::span(text))); }
    // Stores it under the digest of what was written, which `hold` keeps. `expected`: another digest is
    // kInvalidArgument, "digest mismatch, expected "sha256:…", got "sha256:…""; the blob stays, under its
    // true digest.
    Result<WrittenBlob> finish(Hold* hold = nullptr, std::optional<Digest> expected = std::nullopt);

   private:
    friend class Store;
    BlobWriter(Store& store, gguf::AtomicFile file) : store_(&store), file_(std::move(file)) {}
    Store* store_;
    gguf::AtomicFile file_;
    Sha256 hash_;
    uint64_t bytes_ = 0;
  };
  Result<BlobWriter> write_blob();
  Result<WrittenBlob> put_blob(std::string_view content, Hold* hold = nullptr);

  // Where this process may write a file that becomes a blob; every call gives another one.
  std::string scratch_path();
  // Makes a finished file in the store's own file system a blob; it is gone from where it was, whatever the
  // result.
  Result<WrittenBlob> adopt_file(const std::string& path, Hold& hold);

  // Removes those of the blobs that no manifest names and nobody holds; returns how many. Where a manifest
  // cannot be read, none.
  size_t remove_unreferenced(std::span<const Digest> candidates);

  // --- Manifests ---

  // The spelling that is in use: each part of the name as some stored name has it, if it differs in case
  // only.
  ModelName resolve(const ModelName& name) const;
  // Of exactly this spelling. kNotFound: "model 'NAME' not found".
  Result<StoredManifest> read_manifest(const ModelName& name) const;
  Result<std::string> read_manifest_bytes(const ModelName& name) const;
  std::vector<ModelName> list_names() const;
  // Those that can be read; the others are left out with a warning in the log.
  std::vector<StoredManifest> list_manifests() const;

  // Byte for byte, in place of what was there.
  Result<void> write_manifest(const ModelName& name, std::string_view bytes);
  Result<void> copy_manifest(const ModelName& from, const ModelName& to);
  // With the blobs that no other manifest names and the folders that become empty. kNotFound as above.
  Result<void> remove_model(const ModelName& name);

  // --- At start ---

  struct Pruned {
    size_t blobs = 0, leftovers = 0;
    uint64_t bytes = 0;
  };
  // Removes blobs that no manifest names, leftovers of writing and downloading, and empty folders; what is
  // younger than the grace stays. kCorrupt, and nothing is removed, when one manifest cannot be understood.
  Result<Pruned> prune(std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

 private:
  Store(std::string root, Options options) : layout_(std::move(root)), options_(std::move(options)) {}

  void rename_old_blobs();
  Result<std::set<Digest>> referenced() const;
  bool remove_blob_unless_held(const Digest& digest);
  gguf::AtomicFile::Options file_options() const { return {.mode = kFileMode, .step = options_.step}; }

  Layout layout_;
  Options options_;

  std::atomic<uint64_t> scratch_count_ = 0;
  std::mutex change_;  // one change of manifests, or removal that depends on them, at a time
  std::mutex holds_mutex_;
  std::map<Digest, int> holds_;
};

}  // namespace quipu::store

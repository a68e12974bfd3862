// Where things lie below the store's root. Spec: ollama-compat 5.2.
//
//   manifests/HOST/NAMESPACE/MODEL/TAG     blobs/sha256-HEX     blobs/sha256-HEX-partial (being downloaded)
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"
#include "modelfile/model_name.h"

namespace quipu::store {

// QUIPU_MODELS, OLLAMA_MODELS, or .ollama/models in the home folder.
std::string default_root();

class Layout {
 public:
  explicit Layout(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string blobs() const { return root_ + "/blobs"; }
  std::string manifests() const { return root_ + "/manifests"; }
  // Where Ollama's versions to come may keep manifests, as links to blobs: read, never written.
  std::string linked_manifests() const { return root_ + "/manifests-v2"; }

  std::string blob(const Digest& digest) const { return blobs() + "/" + digest.file_name(); }
  std::string partial(const Digest& digest) const { return blob(digest) + "-partial"; }
  std::string manifest(const ModelName& name) const { return manifests() + "/" + name.manifest_path(); }
  std::string linked_manifest(const ModelName& name) const {
    return linked_manifests() + "/" + name.manifest_path();
  }

  // What names of files that are being written begin with. A blob's is no digest, a manifest's lies where no
  // manifest may lie: if one is left behind it is nothing but a leftover, for Ollama too.
  std::string blob_stem() const { return blobs() + "/" + std::string(kStem); }
  std::string manifest_stem() const { return manifests() + "/" + std::string(kStem); }
  static bool is_temporary(std::string_view file_name) { return file_name.starts_with(kStem); }

 private:
  static constexpr std::string_view kStem = ".quipu-part";
  std::string root_;
};

}  // namespace quipu::store

// The files below a folder of manifests, whatever they hold.
//
// Threads: reads the file system; no state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "modelfile/model_name.h"

namespace quipu::store {

struct ManifestFile {
  std::string path;
  std::optional<ModelName> name;  // nothing: its path is no name
};

// Everything exactly four levels below `folder` that is no folder. A folder that is not there has none; one
// that cannot be read is kIo.
Result<std::vector<ManifestFile>> list_manifest_files(const std::string& folder);

struct FileContent {
  std::string bytes;
  int64_t modified_ns = 0;  // since 1970
};

// A small file as a whole. kNotFound: it is not there. kCorrupt: it has more than `limit` bytes, or is no
// file.
Result<FileContent> read_small_file(const std::string& path, uint64_t limit);

// Removes `folder` and the folders above it, up to `top`, as long as they are empty.
void remove_empty_folders(std::string folder, const std::string& top);
// Removes every empty folder below `top`.
void remove_empty_folders_below(const std::string& top);

}  // namespace quipu::store

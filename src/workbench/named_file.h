// FILE|MODEL of a command: a file by its path, or the weights of a model in the user's store by its name.
//
// Threads: pure functions but for the file system.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "model/model.h"
#include "modelfile/model_name.h"
#include "store/store.h"

namespace quipu::workbench {

struct NamedFile {
  std::string path;
  int64_t n_ctx = 0;                                  // what the model asks for; 0: it does not say
  std::string model = {};                             // its name as lists show it; empty: a file
  std::vector<std::string> projectors = {};           // that are loaded with it
  std::string kv_cache_type = {};                     // what the model asks for; empty: it does not say
  std::optional<std::string> bad_kv_cache_type = {};  // the same, where that is no type
};

// Whether that is a file and no model: one that is there, or what only a path looks like.
bool names_a_file(const std::string& text);

// kNotFound: there is neither.
Result<NamedFile> find_named_file(const std::string& text);
// The same for a model that is known to be one.
Result<NamedFile> read_named_model(const store::Store& models, const ModelName& name);

// What a plan needs of one. The header is all that is read, but a file that ends early would be planned with
// weights it does not have. Wants gguf::guard_mappings().
struct OpenedFile {
  std::unique_ptr<gguf::File> file;
  std::unique_ptr<Model> model;
  uint64_t projector_bytes = 0;
  int64_t n_ctx = 0;  // what it loads with if nobody says another; 0: it does not say
};
Result<OpenedFile> open_named_file(const NamedFile& named);

}  // namespace quipu::workbench

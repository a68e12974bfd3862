// FILE|MODEL of a command: a file by its path, or the weights of a model in the user's store by its name.
//
// Threads: a pure function but for the file system.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace quipu::workbench {

struct NamedFile {
  std::string path;
  int64_t n_ctx = 0;                         // what the model asks for; 0: it does not say
  std::string model = {};                    // its name as lists show it; empty: a file
  std::vector<std::string> projectors = {};  // that are loaded with it
};

// kNotFound: there is neither.
Result<NamedFile> find_named_file(const std::string& text);

}  // namespace quipu::workbench

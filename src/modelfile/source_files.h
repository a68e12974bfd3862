// The files that FROM, ADAPTER and DRAFT stand for. Spec: ollama-compat 7.2.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu::modelfile {

// The absolute path: "~" and "~user" stand for home folders, everything else is relative to `folder`. Purely
// textual but for the home folders; symbolic links stay.
Result<std::string> expand_path(std::string_view path, const std::string& folder);

// The file itself, or of a folder the model's files in it. Nothing there: nothing. Messages of the system are
// in Go's words: "stat /a/b: not a directory".
Result<std::optional<std::vector<std::string>>> source_files(const std::string& path);

}  // namespace quipu::modelfile

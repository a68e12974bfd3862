// The files of this folder, built into the program.
//
// Threads: constants.
#pragma once

#include <span>
#include <string_view>

namespace quipu {

struct EmbeddedFile {
  std::string_view name;  // from this folder: "chatml.gotmpl"
  std::string_view text;
};

// In the order of their names.
std::span<const EmbeddedFile> known_template_files();

}  // namespace quipu

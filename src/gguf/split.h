// Models in several files: PREFIX-00001-of-00003.gguf and so on. Metadata counts from the first part only;
// each part has its own tensors.
#pragma once

#include <string>
#include <vector>

#include "gguf/mapped_file.h"
#include "gguf/parse.h"

namespace quipu::gguf {

// If `parsed` (of the file at `path`, parts[0]) says that it is split, maps and parses the other parts and
// adds their tensors. A part that is not the first, a missing part or counts that do not agree are errors
// that say so.
Result<void> add_split_parts(const std::string& path, File::Options options, Parsed& parsed,
                             std::vector<MappedFile>& parts);

}  // namespace quipu::gguf

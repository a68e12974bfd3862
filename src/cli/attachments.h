// Pictures and sounds named in a prompt by their paths: taken out of the text and read. Spec:
// ollama-compat 3.5.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu::cli {

struct Attachment {
  std::string path;  // without a shell's escapes
  std::string base64;
  bool is_audio = false;
};

struct AttachedText {
  std::string text;  // without the paths, white space around it gone
  std::vector<Attachment> files;
};

// Paths of existing files in the text, as they lie there: they begin with /, ./, ../ or ~/ and end in .jpg,
// .jpeg, .png, .webp or .wav. Looks at no more than a bounded number of candidates.
std::vector<std::string> file_paths_in(std::string_view text);

// Reads them. An error: one of them is no picture or sound, or is too large.
Result<AttachedText> attach_files(std::string_view text);

class Console;

// The same for a model, telling on standard error what was attached. A model that takes no files refuses a
// text that names some.
Result<AttachedText> attach_for_model(const std::string& text, const std::string& model, bool sees_files,
                                      Console& console);

std::string encode_base64(std::string_view bytes);

}  // namespace quipu::cli

// Modelfiles: the text that describes a model to create, and back. Spec: ollama-compat 7.1, 7.5.
//
// Threads: values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu::modelfile {

struct Command {
  // Lower case; FROM is "model", a PARAMETER stands under its own name, as written.
  std::string name;
  std::string args;  // of a MESSAGE: "role: text"

  friend bool operator==(const Command&, const Command&) = default;
};

struct Modelfile {
  std::vector<Command> commands;
};

// UTF-8, or UTF-16 with a byte order mark. Characters that are not printable are dropped, also from values;
// blanks, tabs and the line ends of quoted values stay. Errors are kInvalidArgument in Ollama's words, such
// as
// "(line 3): command must be one of ..."; a carriage return and a line feed count as a line each, as there.
Result<Modelfile> parse_modelfile(std::string_view bytes);

// One line a command, values quoted where they contain line feeds, or blanks at an end.
std::string format_modelfile(const Modelfile& modelfile);

}  // namespace quipu::modelfile

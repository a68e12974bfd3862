// What the system says of a failed call, as Go words it, which is how Ollama's clients know it: "no such file
// or directory".
#pragma once

#include <string>

namespace quipu {

std::string system_message(int number);  // of errno

}  // namespace quipu

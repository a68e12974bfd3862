#include "store/layout.h"

#include "base/environment.h"

namespace quipu::store {

std::string default_root() {
  if (const auto variable = environment({"QUIPU_MODELS", "OLLAMA_MODELS"})) return variable->value;
  const auto home = environment("HOME");
  return (home ? home->value : std::string()) + "/.ollama/models";
}

}  // namespace quipu::store

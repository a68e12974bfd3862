// Writes a model with real shapes and random weights, for measurements of memory and speed where the real
// file is not at hand: random_model PRESET FILE. The same preset gives the same file on every machine.
#include "gguf/random_model.h"

#include <array>
#include <cstdio>
#include <string_view>

namespace {

using quipu::gguf::RandomModel;

// As many layers and tokens of vocabulary as Granite 2.5 B, so that what depends on their number is as large
// as there; the width is an eighth.
RandomModel granite_small() {
  RandomModel m = quipu::gguf::granite_2b();
  m.n_embd = 256;
  m.n_heads = 4;
  m.n_kv_heads = 2;
  m.n_ff = 1024;
  return m;
}

struct Preset {
  std::string_view name;
  RandomModel (*model)();
  const char* help;
};

constexpr std::array kPresets = {
    Preset{"granite-2.5b-q4_k_m", quipu::gguf::granite_2b, "40 layers of 2048, 49155 tokens, 1.5 GB"},
    Preset{"granite-small", granite_small, "40 layers of 256, 49155 tokens, 35 MB"},
};

int usage() {
  std::fputs("usage: random_model PRESET FILE\n", stderr);
  for (const Preset& p : kPresets) std::fprintf(stderr, "  %-20s  %s\n", p.name.data(), p.help);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return usage();
  for (const Preset& p : kPresets) {
    if (p.name != argv[1]) continue;
    if (const auto done = quipu::gguf::write_random_model(p.model(), argv[2]); !done) {
      std::fprintf(stderr, "Error: %s\n", done.error().message.c_str());
      return 1;
    }
    return 0;
  }
  return usage();
}

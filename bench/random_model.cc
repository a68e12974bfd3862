// Writes a model with real shapes and random weights, for measurements of memory and speed where the real
// file is not at hand: random_model PRESET FILE. The same preset gives the same file on every machine.
#include "gguf/random_model.h"

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/random_blocks.h"
#include "gguf/writer.h"

namespace {

using quipu::Result;
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

RandomModel granite_2b_f16() {
  RandomModel m = quipu::gguf::granite_2b();
  m.mix = quipu::gguf::WeightMix::kF16;
  return m;
}

// The shape of Qwen2.5 0.5 B, but for its biases and its vocabulary.
RandomModel llama_half_billion() {
  RandomModel m;
  m.arch = "llama";
  m.mix = quipu::gguf::WeightMix::kQ8_0;
  m.n_layers = 24;
  m.n_embd = 896;
  m.n_heads = 14;
  m.n_kv_heads = 2;
  m.n_ff = 4864;
  m.n_vocab = 151936;
  m.n_ctx = 32768;
  return m;
}

Result<void> write_model(RandomModel (*model)(), const std::string& path) {
  return quipu::gguf::write_random_model(model(), path);
}

// The tensors of a vision tower and its projector, in the sizes of Granite Vision's (SigLIP so400m: 27 layers
// of 1152; four feature layers into 2048): 0.85 GB of F16, for what it takes of memory.
Result<void> write_projector(const std::string& path) {
  constexpr int64_t kLayers = 27, kEmbd = 1152, kFf = 4304, kPatches = 27 * 27, kPatch = 14, kOut = 2048;
  quipu::gguf::Writer w;
  w.add_string("general.architecture", "clip");
  w.add_bool("clip.has_vision_encoder", true);
  w.add_string("clip.projector_type", "mlp");
  uint64_t seed = 0;
  const auto add = [&](const std::string& name, quipu::TensorType type,
                       std::vector<int64_t> shape) -> Result<void> {
    const auto fill = [blocks = quipu::gguf::RandomBlocks(type, 0.02f, ++seed)](
                          uint64_t offset, std::span<std::byte> piece) { blocks.fill(offset, piece); };
    return w.add_tensor(name, type, shape, fill);
  };
  const auto layer = [&](const std::string& name, int64_t n_in, int64_t n_out) -> Result<void> {
    QUIPU_TRY(add(name + ".weight", quipu::TensorType::kF16, {n_in, n_out}));
    return add(name + ".bias", quipu::TensorType::kF32, {n_out});
  };
  QUIPU_TRY(layer("v.patch_embd", kPatch * kPatch * 3, kEmbd));
  QUIPU_TRY(add("v.position_embd.weight", quipu::TensorType::kF16, {kEmbd, kPatches}));
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string name = "v.blk." + std::to_string(i) + ".";
    for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_out"})
      QUIPU_TRY(layer(name + part, kEmbd, kEmbd));
    QUIPU_TRY(layer(name + "ffn_down", kEmbd, kFf));
    QUIPU_TRY(layer(name + "ffn_up", kFf, kEmbd));
  }
  QUIPU_TRY(layer("mm.0", 4 * kEmbd, kOut));
  QUIPU_TRY(layer("mm.2", kOut, kOut));
  return w.write(path);
}

struct Preset {
  std::string_view name;
  Result<void> (*write)(const std::string& path);
  const char* help;
};

constexpr std::array kPresets = {
    Preset{"granite-2.5b-q4_k_m",
           [](const std::string& path) { return write_model(quipu::gguf::granite_2b, path); },
           "40 layers of 2048, 49155 tokens, 1.5 GB"},
    Preset{"granite-2.5b-f16", [](const std::string& path) { return write_model(granite_2b_f16, path); },
           "the same in F16, 5.1 GB"},
    Preset{"granite-projector", write_projector, "a projector for images beside them, 0.85 GB"},
    Preset{"llama-0.5b-q8_0", [](const std::string& path) { return write_model(llama_half_billion, path); },
           "24 layers of 896, 151936 tokens, 0.5 GB"},
    Preset{"granite-small", [](const std::string& path) { return write_model(granite_small, path); },
           "40 layers of 256, 49155 tokens, 35 MB"},
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
    if (const auto done = p.write(argv[2]); !done) {
      std::fprintf(stderr, "Error: %s\n", done.error().message.c_str());
      return 1;
    }
    return 0;
  }
  return usage();
}

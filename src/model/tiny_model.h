// Small models made by hand, in which anything can be missing, different or wrong. Tests only.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "model/model.h"
#include "quant/codec.h"

namespace quipu::test {

struct TinyTensor {
  std::string name;
  std::vector<int64_t> shape;
  TensorType type = TensorType::kF32;
};

struct TinyModel {
  std::string arch = "llama";
  int64_t n_layers = 2, n_embd = 32, n_heads = 4, n_kv_heads = 2, head_dim_k = 8, head_dim_v = 8, n_ff = 64;
  int64_t n_vocab = 40;
  TensorType type = TensorType::kF32;  // of the matrices
  float spread = 0.3f;                 // weights lie between -spread and spread
  bool tied = false, bias = false, rope_factors = false;
  uint32_t alignment = 32, seed = 1;

  using AddKey = std::function<void(gguf::Writer&, const std::string& key)>;
  std::map<std::string, AddKey> keys = {};  // in place of the key ARCH.NAME, or in addition
  std::set<std::string> without = {};       // keys (without "ARCH.") and tensors to leave out
  // Last changes to the list of tensors, and to the blocks of each.
  std::function<void(std::vector<TinyTensor>&)> change_tensors = [](auto&) {};
  std::function<void(const TinyTensor&, std::span<std::byte>)> change_blocks = [](auto&, auto) {};

  std::vector<TinyTensor> tensors() const {
    std::vector<TinyTensor> out;
    const int64_t q = n_heads * head_dim_k, k = n_kv_heads * head_dim_k, v = n_kv_heads * head_dim_v;
    const auto vector = [&](const std::string& name, int64_t n) { out.push_back({name, {n}}); };
    const auto matrix = [&](const std::string& name, int64_t n_in, int64_t n_out) {
      out.push_back({name + ".weight", {n_in, n_out}, type});
      if (bias && name.starts_with("blk.")) vector(name + ".bias", n_out);
    };
    matrix("token_embd", n_embd, n_vocab);
    for (int64_t i = 0; i < n_layers; ++i) {
      const std::string p = "blk." + std::to_string(i) + ".";
      vector(p + "attn_norm.weight", n_embd);
      matrix(p + "attn_q", n_embd, q);
      matrix(p + "attn_k", n_embd, k);
      matrix(p + "attn_v", n_embd, v);
      matrix(p + "attn_output", n_heads * head_dim_v, n_embd);
      vector(p + "ffn_norm.weight", n_embd);
      matrix(p + "ffn_gate", n_embd, n_ff);
      matrix(p + "ffn_up", n_embd, n_ff);
      matrix(p + "ffn_down", n_ff, n_embd);
    }
    vector("output_norm.weight", n_embd);
    if (!tied) matrix("output", n_embd, n_vocab);
    if (rope_factors) vector("rope_freqs.weight", head_dim_k / 2);
    change_tensors(out);
    std::erase_if(out, [&](const TinyTensor& t) { return without.contains(t.name); });
    return out;
  }

  // Equal names and sizes get equal values, whatever else the file holds.
  std::vector<float> values(const TinyTensor& t) const {
    size_t n = 1;
    for (const int64_t d : t.shape) n *= static_cast<size_t>(d);
    uint32_t state = seed;
    for (const char c : t.name) state = state * 31 + static_cast<unsigned char>(c);
    std::vector<float> out(n);
    const bool norm = t.name.find("norm") != std::string::npos, factors = t.name.starts_with("rope_freqs");
    for (float& x : out) {
      state = state * 1664525 + 1013904223;
      const float unit = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
      x = norm ? 1.0f + 0.5f * unit : factors ? 2.0f + unit : spread * unit;
    }
    return out;
  }

  std::vector<std::byte> bytes() const {
    gguf::Writer w(alignment);
    const auto put = [&](const std::string& name, const AddKey& add) {
      if (without.contains(name)) return;
      const auto changed = keys.find(name);
      (changed == keys.end() ? add : changed->second)(w, arch + "." + name);
    };
    const auto count = [&](const std::string& name, int64_t v) {
      put(name,
          [v](gguf::Writer& to, const std::string& key) { to.add_uint32(key, static_cast<uint32_t>(v)); });
    };
    if (!without.contains("general.architecture")) w.add_string("general.architecture", arch);
    const std::set<std::string> usual = {
        "context_length",       "embedding_length",       "block_count",
        "feed_forward_length",  "attention.head_count",   "attention.head_count_kv",
        "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
        "logit_scale"};
    count("context_length", 512);
    count("embedding_length", n_embd);
    count("block_count", n_layers);
    count("feed_forward_length", n_ff);
    count("attention.head_count", n_heads);
    count("attention.head_count_kv", n_kv_heads);
    count("attention.key_length", head_dim_k);
    count("attention.value_length", head_dim_v);
    put("attention.layer_norm_rms_epsilon",
        [](gguf::Writer& to, const std::string& key) { to.add_float32(key, 1e-5f); });
    if (arch != "llama")
      put("logit_scale", [](gguf::Writer& to, const std::string& key) { to.add_float32(key, 1.0f); });
    for (const auto& [name, add] : keys)
      if (!usual.contains(name)) add(w, name.find("ggml") == std::string::npos ? arch + "." + name : name);

    std::vector<std::vector<std::byte>> data;
    for (const TinyTensor& t : tensors()) {
      const std::vector<float> x = values(t);
      const TypeInfo* info = type_info(t.type);
      data.emplace_back(x.size() / static_cast<size_t>(info->block_elems) *
                        static_cast<size_t>(info->block_bytes));
      if (info->computable) encode_row(t.type, x.data(), data.back().data(), static_cast<int64_t>(x.size()));
      change_blocks(t, data.back());
      if (auto added = w.add_tensor(t.name, t.type, t.shape, data.back()); !added)
        throw std::runtime_error(added.error().message);
    }
    return w.bytes();
  }
};

inline TinyModel::AddKey u32(uint32_t v) {
  return [v](gguf::Writer& w, const std::string& key) { w.add_uint32(key, v); };
}
inline TinyModel::AddKey f32(float v) {
  return [v](gguf::Writer& w, const std::string& key) { w.add_float32(key, v); };
}
inline TinyModel::AddKey boolean(bool v) {
  return [v](gguf::Writer& w, const std::string& key) { w.add_bool(key, v); };
}
inline TinyModel::AddKey text(std::string v) {
  return [v](gguf::Writer& w, const std::string& key) { w.add_string(key, v); };
}
inline TinyModel::AddKey i32s(std::vector<int32_t> v) {
  return [v](gguf::Writer& w, const std::string& key) { w.add_int32s(key, v); };
}

}  // namespace quipu::test

#include "gguf/random_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "gguf/random_blocks.h"
#include "gguf/writer.h"

namespace quipu::gguf {

namespace {

constexpr float kSpread = 0.02f;  // standard deviation of the weights, as trained models of this size have it

// They come first: id 0 is the end of text, as Granite has it.
constexpr std::array<std::string_view, 3> kControlTokens = {"<|end_of_text|>", "<|start_of_role|>",
                                                            "<|end_of_role|>"};

constexpr std::string_view kChatTemplate =
    "{%- for message in messages %}{{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + "
    "message['content'] + "
    "'<|end_of_text|>\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- "
    "'<|start_of_role|>assistant<|end_of_role|>' }}"
    "{%- endif %}";

std::string utf8(int code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xc0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 63))};
}

// The characters that stand for the 256 bytes: themselves where they are printable, others in order from
// U+0100.
std::vector<std::string> byte_tokens() {
  std::vector<std::string> out;
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    out.push_back(utf8(printable ? b : next++));
  }
  return out;
}

// Words of ever more letters, with and without a space in front: each is a shorter word and one letter more,
// so that every merge has one result and every result one merge.
void add_vocabulary(Writer& w, int64_t n) {
  std::vector<std::string> tokens(kControlTokens.begin(), kControlTokens.end());
  std::vector<std::string> merges;
  for (std::string& t : byte_tokens()) tokens.push_back(std::move(t));
  std::vector<std::string> stems = {utf8(0x120)};  // the space
  for (char c = 'a'; c <= 'z'; ++c) stems.emplace_back(1, c);
  for (size_t stem = 0; tokens.size() < static_cast<size_t>(n); ++stem)
    for (char c = 'a'; c <= 'z' && tokens.size() < static_cast<size_t>(n); ++c) {
      const std::string shorter = stems[stem];
      merges.push_back(shorter + ' ' + c);
      tokens.push_back(shorter + c);
      stems.push_back(shorter + c);
    }
  std::vector<int32_t> types(tokens.size(), 1);
  std::fill_n(types.begin(), kControlTokens.size(), 3);
  w.add_string("tokenizer.ggml.model", "gpt2");
  w.add_string("tokenizer.ggml.pre", "refact");
  w.add_strings("tokenizer.ggml.tokens", tokens);
  w.add_int32s("tokenizer.ggml.token_type", types);
  w.add_strings("tokenizer.ggml.merges", merges);
  w.add_uint32("tokenizer.ggml.bos_token_id", 0);
  w.add_uint32("tokenizer.ggml.eos_token_id", 0);
  w.add_uint32("tokenizer.ggml.padding_token_id", 0);
  w.add_bool("tokenizer.ggml.add_bos_token", false);
  w.add_string("tokenizer.chat_template", kChatTemplate);
}

uint32_t file_type(WeightMix mix) {
  switch (mix) {
    case WeightMix::kF32:
      return 0;
    case WeightMix::kF16:
      return 1;
    case WeightMix::kBF16:
      return 32;
    case WeightMix::kQ8_0:
      return 7;
    case WeightMix::kQ4_0:
      return 2;
    case WeightMix::kQ4_1:
      return 3;
    case WeightMix::kQ4_K_M:
      return 15;
  }
  return 0;
}

TensorType main_type(WeightMix mix) {
  switch (mix) {
    case WeightMix::kF32:
      return TensorType::kF32;
    case WeightMix::kF16:
      return TensorType::kF16;
    case WeightMix::kBF16:
      return TensorType::kBF16;
    case WeightMix::kQ8_0:
      return TensorType::kQ8_0;
    case WeightMix::kQ4_0:
      return TensorType::kQ4_0;
    case WeightMix::kQ4_1:
      return TensorType::kQ4_1;
    case WeightMix::kQ4_K_M:
      return TensorType::kQ4_K;
  }
  return TensorType::kF32;
}

void add_metadata(Writer& w, const RandomModel& m) {
  const auto key = [&m](std::string_view name) { return m.arch + "." + std::string(name); };
  const auto count = [&](std::string_view name, int64_t v) {
    w.add_uint32(key(name), static_cast<uint32_t>(v));
  };
  w.add_string("general.architecture", m.arch);
  w.add_string("general.name", "random-" + m.arch);
  w.add_uint32("general.file_type", file_type(m.mix));
  w.add_uint32("general.quantization_version", 2);
  count("context_length", m.n_ctx);
  count("embedding_length", m.n_embd);
  count("block_count", m.n_layers);
  count("feed_forward_length", m.n_ff);
  count("attention.head_count", m.n_heads);
  count("attention.head_count_kv", m.n_kv_heads);
  count("attention.key_length", m.head_dim);
  count("attention.value_length", m.head_dim);
  count("rope.dimension_count", m.head_dim);
  count("vocab_size", m.n_vocab);
  w.add_float32(key("rope.freq_base"), m.rope_freq_base);
  w.add_float32(key("attention.layer_norm_rms_epsilon"), 1e-5f);
  if (m.arch != "llama") {
    w.add_float32(key("attention.scale"), 1.0f / static_cast<float>(m.head_dim));
    w.add_float32(key("embedding_scale"), 12.0f);
    w.add_float32(key("residual_scale"), 0.22f);
    w.add_float32(key("logit_scale"), 8.0f);
  }
  if (m.arch == "granite_swa") {
    count("attention.sliding_window", m.window);
    std::vector<int32_t> windowed(static_cast<size_t>(m.n_layers), 1);
    windowed.back() = 0;
    w.add_int32s(key("attention.sliding_window_pattern"), windowed);
  }
}

Result<void> check(const RandomModel& m) {
  if (m.arch != "granite" && m.arch != "llama" && m.arch != "granite_swa")
    return error(Code::kInvalidArgument, "random models are granite, granite_swa or llama, not '{}'", m.arch);
  if ((m.arch == "granite_swa") != (m.window > 0))
    return error(Code::kInvalidArgument, "a window belongs to granite_swa, and it to a window");
  for (const int64_t n :
       {m.n_layers, m.n_embd, m.n_heads, m.n_kv_heads, m.head_dim, m.n_ff, m.n_ctx, m.n_vocab})
    if (n < 1 || n > int64_t{1} << 24)
      return error(Code::kInvalidArgument, "a random model cannot have a size of {}", n);
  if (m.n_vocab < 256 + static_cast<int64_t>(kControlTokens.size()))
    return error(Code::kInvalidArgument, "a random model needs at least 259 tokens, not {}", m.n_vocab);
  return {};
}

}  // namespace

Result<void> write_random_model(const RandomModel& m, const std::string& path) {
  QUIPU_TRY(check(m));
  Writer w;
  add_metadata(w, m);
  add_vocabulary(w, m.n_vocab);

  const std::vector<float> ones(static_cast<size_t>(m.n_embd), 1.0f);
  const auto norm = [&](const std::string& name) {
    return w.add_tensor(name, TensorType::kF32, std::array{m.n_embd}, std::as_bytes(std::span(ones)));
  };
  uint64_t number = 0;
  const auto weight = [&](const std::string& name, int64_t n_in, int64_t n_out, TensorType type) {
    const RandomBlocks blocks(type, kSpread, m.seed << 32 | ++number);
    return w.add_tensor(
        name, type, std::array{n_in, n_out},
        [blocks](uint64_t offset, std::span<std::byte> piece) { blocks.fill(offset, piece); });
  };
  const TensorType plain = main_type(m.mix);
  const TensorType better = m.mix == WeightMix::kQ4_K_M ? TensorType::kQ6_K : plain;
  // The layers that get more bits: the first and last eighth, and every third between.
  const auto more = [&m](int64_t i) {
    const int64_t eighth = m.n_layers / 8;
    return i < eighth || i >= 7 * m.n_layers / 8 || (i - eighth) % 3 == 2;
  };
  const int64_t n_q = m.n_heads * m.head_dim, n_kv = m.n_kv_heads * m.head_dim;
  QUIPU_TRY(weight("token_embd.weight", m.n_embd, m.n_vocab, m.tied ? better : plain));
  for (int64_t i = 0; i < m.n_layers; ++i) {
    const std::string blk = fmt::format("blk.{}.", i);
    const TensorType chosen = more(i) ? better : plain;
    QUIPU_TRY(norm(blk + "attn_norm.weight"));
    QUIPU_TRY(weight(blk + "attn_q.weight", m.n_embd, n_q, plain));
    QUIPU_TRY(weight(blk + "attn_k.weight", m.n_embd, n_kv, plain));
    QUIPU_TRY(weight(blk + "attn_v.weight", m.n_embd, n_kv, chosen));
    QUIPU_TRY(weight(blk + "attn_output.weight", n_q, m.n_embd, plain));
    QUIPU_TRY(norm(blk + "ffn_norm.weight"));
    QUIPU_TRY(weight(blk + "ffn_gate.weight", m.n_embd, m.n_ff, plain));
    QUIPU_TRY(weight(blk + "ffn_up.weight", m.n_embd, m.n_ff, plain));
    QUIPU_TRY(weight(blk + "ffn_down.weight", m.n_ff, m.n_embd, chosen));
  }
  QUIPU_TRY(norm("output_norm.weight"));
  if (!m.tied) QUIPU_TRY(weight("output.weight", m.n_embd, m.n_vocab, better));
  return w.write(path);
}

}  // namespace quipu::gguf

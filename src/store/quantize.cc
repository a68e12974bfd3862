#include "store/quantize.h"

#include <algorithm>
#include <array>

namespace quipu::store {

namespace {

// Types that a mixture may call for and that have no name in the code yet.
constexpr auto kQ5_0 = static_cast<TensorType>(6);
constexpr auto kQ5_K = static_cast<TensorType>(13);

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// What is small, or reacts badly, stays as it is.
bool is_never_quantised(const gguf::Tensor& tensor) {
  static constexpr std::array<std::string_view, 16> kParts = {"_norm.weight",
                                                              "ffn_gate_inp.weight",
                                                              "altup",
                                                              "laurel",
                                                              "per_layer_model_proj",
                                                              "ssm_conv1d",
                                                              "shortconv.conv.weight",
                                                              "time_mix_first",
                                                              "time_mix_w",
                                                              "time_mix_v",
                                                              "time_mix_a",
                                                              "time_mix_g",
                                                              "time_mix_decay_w",
                                                              "time_mix_lerp_fused",
                                                              "attn_rel_b.weight",
                                                              ".position_embd"};
  static constexpr std::array<std::string_view, 3> kNames = {"position_embd.weight", "token_types.weight",
                                                             ""};
  if (tensor.n_dims < 2 || !tensor.name.ends_with("weight") || contains(tensor.name, ".patch_embd"))
    return true;
  return std::ranges::find(kNames, tensor.name) != kNames.end() ||
         std::ranges::any_of(kParts, [&](std::string_view part) { return contains(tensor.name, part); });
}

bool is_value_like(std::string_view name) {
  return contains(name, "attn_v.weight") || contains(name, "attn_qkv.weight") ||
         contains(name, "attn_kv_b.weight");
}

// The beginning, the end and every third layer between them have more weight in the result.
bool is_of_more_weight(int64_t i, int64_t n) { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

uint64_t number(const gguf::File& file, std::string_view key) {
  const auto v = file.uint(std::string(file.architecture()) + "." + std::string(key));
  return v && *v ? **v : 0;
}

class Mixture {
 public:
  Mixture(const gguf::File& file, const Quantization& quantization)
      : small_(quantization.name == "Q4_K_S"), most_(quantization.most) {
    experts_ = number(file, "expert_count");
    layers_ = static_cast<int64_t>(number(file, "block_count"));
    tied_ = file.tensor("output.weight") == nullptr;
    falcon_ = file.architecture() == "falcon";
    const auto heads = number(file, "attention.head_count");
    llama_70b_ =
        file.architecture() == "llama" && layers_ == 80 && heads != number(file, "attention.head_count_kv");
    for (const gguf::Tensor& tensor : file.tensors()) n_values_ += is_value_like(tensor.name) ? 1 : 0;
  }

  // In the order in which the counters run.
  TensorType of(const gguf::Tensor& tensor) {
    TensorType type = most_;
    const std::string_view name = tensor.name;
    const bool k_mixture = most_ == TensorType::kQ4_K;
    if (name == "output.weight" || (tied_ && name == "token_embd.weight")) {
      const bool fits = tensor.shape[0] % type_info(most_)->block_elems == 0;
      if (falcon_ || !fits)
        type = TensorType::kQ8_0;
      else if (most_ != TensorType::kQ8_0)
        type = TensorType::kQ6_K;
    } else if (is_value_like(name)) {
      if (k_mixture && !small_ && is_of_more_weight(value_, n_values_)) type = TensorType::kQ6_K;
      if (k_mixture && small_ && value_ < 4) type = kQ5_K;
      if (llama_70b_ && type == TensorType::kQ4_K) type = kQ5_K;
      if (experts_ == 8) type = TensorType::kQ8_0;
      ++value_;
    } else if (contains(name, "attn_k.weight")) {
      if (experts_ == 8) type = TensorType::kQ8_0;
    } else if (contains(name, "attn_output.weight")) {
      if (k_mixture && experts_ == 8) type = kQ5_K;
    } else if (contains(name, "ffn_down")) {
      const int64_t i = experts_ > 1 ? block_of(name) : down_;
      if (k_mixture) type = of_ffn_down(i);
      ++down_;
    }
    return fitted(type, tensor.shape[0]);
  }

 private:
  TensorType of_ffn_down(int64_t i) const {
    if (small_) return i < layers_ / 8 && !falcon_ ? kQ5_K : TensorType::kQ4_K;
    if (!falcon_) return is_of_more_weight(i, layers_) ? TensorType::kQ6_K : TensorType::kQ4_K;
    if (i < layers_ / 16) return TensorType::kQ6_K;
    return is_of_more_weight(i, layers_) ? kQ5_K : TensorType::kQ4_K;
  }

  // A row has to be a whole number of blocks.
  static TensorType fitted(TensorType type, int64_t row) {
    const auto fits = [row](TensorType t) { return row % type_info(t)->block_elems == 0; };
    if (fits(type)) return type;
    TensorType other = TensorType::kF16;
    if (type == TensorType::kQ4_K) other = kQ5_0;
    if (type == kQ5_K) other = static_cast<TensorType>(7);  // Q5_1
    if (type == TensorType::kQ6_K) other = TensorType::kQ8_0;
    return fits(other) ? other : TensorType::kF16;
  }

  bool small_;
  TensorType most_;
  uint64_t experts_ = 0;
  int64_t layers_ = 0, n_values_ = 0;
  bool tied_ = false, falcon_ = false, llama_70b_ = false;
  int64_t value_ = 0, down_ = 0;
};

// What a family keeps better than its mixture says.
std::optional<TensorType> exception_of(std::string_view architecture, const gguf::Tensor& tensor) {
  const std::string_view name = tensor.name;
  if (architecture == "deepseek2" &&
      (contains(name, "attn_k_b") || contains(name, "attn_v_b") || contains(name, "attn_kv_b") ||
       contains(name, "attn_q_a") || contains(name, "attn_q_b") || contains(name, "attn_kv_a")))
    return TensorType::kQ8_0;
  if (architecture == "gemma3n" && contains(name, "per_layer_token_embd")) return TensorType::kF16;
  if ((architecture == "glm4" || architecture == "glmocr") &&
      (name == "token_embd.weight" || name == "output.weight"))
    return TensorType::kF16;
  if (architecture.starts_with("qwen35") && contains(name, "nextn.eh_proj")) return TensorType::kQ8_0;
  return std::nullopt;
}

}  // namespace

Result<Quantization> parse_quantization(std::string_view text) {
  std::string name(text);
  for (char& c : name)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (name == "Q4_K") name = "Q4_K_M";
  static const std::array<Quantization, 6> kKnown = {{{"F32", 0, TensorType::kF32},
                                                      {"F16", 1, TensorType::kF16},
                                                      {"BF16", 32, TensorType::kBF16},
                                                      {"Q8_0", 7, TensorType::kQ8_0},
                                                      {"Q4_K_S", 14, TensorType::kQ4_K},
                                                      {"Q4_K_M", 15, TensorType::kQ4_K}}};
  if (const auto it = std::ranges::find(kKnown, name, &Quantization::name); it != kKnown.end()) return *it;
  return error(Code::kUnsupported,
               "unsupported quantization type {} - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0", name);
}

Result<std::map<std::string, TensorType, std::less<>>> choose_types(const gguf::File& file,
                                                                    const Quantization& quantization) {
  const bool mixture = quantization.most == TensorType::kQ4_K || quantization.most == TensorType::kQ8_0;
  const bool k_mixture = quantization.most == TensorType::kQ4_K;
  Mixture counted(file, quantization);
  std::map<std::string, TensorType, std::less<>> types;
  for (const gguf::Tensor* tensor : in_block_order(file)) {
    if (is_never_quantised(*tensor)) continue;
    TensorType type = mixture ? counted.of(*tensor) : quantization.most;
    if (k_mixture) type = exception_of(file.architecture(), *tensor).value_or(type);
    if (type == tensor->type) continue;
    if (!type_info(type)->computable)
      return error(Code::kUnsupported,
                   "quantizing to {} is not possible yet: tensor '{}' would have to be {}", quantization.name,
                   tensor->name, type_name(type));
    types[std::string(tensor->name)] = type;
  }
  return types;
}

}  // namespace quipu::store

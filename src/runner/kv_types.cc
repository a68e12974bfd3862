#include "runner/kv_types.h"

#include <utility>

namespace quipu::runner {

namespace {

using kernels::KvType;

constexpr std::pair<const char*, KvType> kNames[] = {{"f16", KvType::kF16},
                                                     {"bf16", KvType::kBf16},
                                                     {"q8_0", KvType::kQ8_0},
                                                     {"q4_0", KvType::kQ4_0},
                                                     {"f32", KvType::kF32}};

const char* name_of(KvType type) {
  for (const auto& [name, t] : kNames)
    if (t == type) return name;
  return "?";
}

Result<KvType> parse_one(std::string_view text, std::string_view whole) {
  for (const auto& [name, t] : kNames)
    if (text == name) return t;
  return error(Code::kInvalidArgument,
               "'{}' is not a KV cache type: write f16, bf16, q8_0, q4_0 or f32, or two of them as K:V",
               whole);
}

}  // namespace

Result<KvTypes> parse_kv_types(std::string_view text) {
  const size_t colon = text.find(':');
  KvTypes types;
  QUIPU_ASSIGN(types.k, parse_one(text.substr(0, colon), text));
  QUIPU_ASSIGN(types.v, parse_one(colon == std::string_view::npos ? text : text.substr(colon + 1), text));
  return types;
}

std::string kv_types_name(KvTypes types) { return fmt::format("{}:{}", name_of(types.k), name_of(types.v)); }

}  // namespace quipu::runner

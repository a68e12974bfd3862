#include "runner/kv_types.h"

namespace quipu::runner {

namespace {

const char* name_of(kernels::KvType t) { return t == kernels::KvType::kF16 ? "f16" : "f32"; }

Result<kernels::KvType> parse_one(std::string_view name, std::string_view whole) {
  if (name == "f16") return kernels::KvType::kF16;
  if (name == "f32") return kernels::KvType::kF32;
  if (name == "bf16" || name == "q8_0" || name == "q4_0")
    return error(Code::kUnsupported, "the KV cache type {} is not supported yet (f16 and f32 are)", name);
  return error(Code::kInvalidArgument, "'{}' is not a KV cache type: write f16 or f32, or K:V", whole);
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

#include "workbench/command_line.h"

#include <charconv>
#include <iostream>

namespace quipu::workbench {

bool parse(CLI::App& app, std::span<const std::string> args, int* code) {
  std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 wants them
  try {
    app.parse(reversed);
    return true;
  } catch (const CLI::ParseError& e) {
    const bool help = e.get_exit_code() == 0;
    app.exit(e, std::cout, std::cerr);
    *code = help ? kOk : kUsage;
    return false;
  }
}

int report(const Error& e) {
  std::cerr << "Error: " << e.message << "\n";
  return e.code == Code::kInvalidArgument ? kUsage : kFailed;
}

Result<KvTypes> parse_kv_types(const std::string& text) {
  const auto one = [&](std::string_view name) -> Result<kernels::KvType> {
    if (name == "f16") return kernels::KvType::kF16;
    if (name == "f32") return kernels::KvType::kF32;
    if (name == "bf16" || name == "q8_0" || name == "q4_0")
      return error(Code::kUnsupported, "the KV cache type {} is not supported yet (f16 and f32 are)", name);
    return error(Code::kInvalidArgument, "'{}' is not a KV cache type: write f16 or f32, or K:V", text);
  };
  const size_t colon = text.find(':');
  KvTypes types;
  QUIPU_ASSIGN(types.k, one(std::string_view(text).substr(0, colon)));
  QUIPU_ASSIGN(types.v, one(colon == std::string::npos ? std::string_view(text) : std::string_view(text).substr(colon + 1)));
  return types;
}

std::string kv_types_name(KvTypes types) {
  const auto name = [](kernels::KvType t) { return t == kernels::KvType::kF16 ? "f16" : "f32"; };
  return fmt::format("{}:{}", name(types.k), name(types.v));
}

Result<std::vector<int32_t>> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    if (*p == ',' || *p == ' ' || *p == '\n') {
      ++p;
      continue;
    }
    int32_t id = 0;
    const auto [next, ec] = std::from_chars(p, end, id);
    if (ec != std::errc() || id < 0)
      return error(Code::kInvalidArgument, "'{}' is not a list of token ids such as 1,2,3", text);
    ids.push_back(id);
    p = next;
  }
  if (ids.empty()) return error(Code::kInvalidArgument, "no token ids were given");
  return ids;
}

}  // namespace quipu::workbench

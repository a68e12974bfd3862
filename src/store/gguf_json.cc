#include "store/gguf_json.h"

#include <limits>
#include <map>
#include <string>
#include <type_traits>

#include "base/checked.h"
#include "base/go_json.h"
#include "base/utf8.h"
#include "store/gguf_header.h"

namespace quipu::store {

namespace {

using Json = nlohmann::ordered_json;

Json number_json(double value, bool is_float) {
  return is_float ? Json(shortest_double(static_cast<float>(value))) : Json(value);
}

Json array_json(const gguf::Array& array) {
  Json out = Json::array();
  switch (array.element()) {
    case gguf::ValueType::kString:
      if (const auto strings = array.as_strings())
        for (const std::string_view s : *strings) out.push_back(to_valid_utf8(s));
      break;
    case gguf::ValueType::kBool:
      if (const auto bools = array.as_bools())
        for (const bool b : *bools) out.push_back(b);
      break;
    case gguf::ValueType::kF32:
    case gguf::ValueType::kF64:
      if (const auto floats = array.as_floats())
        for (const float f : *floats) out.push_back(number_json(f, true));
      break;
    default:
      if (const auto ints = array.as_ints())
        for (const int64_t i : *ints) out.push_back(i);
  }
  return out;
}

Json value_json(const gguf::Entry& entry, bool lists) {
  return std::visit(
      [&](const auto& v) -> Json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, gguf::Array>)
          return lists ? array_json(v) : Json();
        else if constexpr (std::is_same_v<T, std::string_view>)
          return to_valid_utf8(v);
        else if constexpr (std::is_same_v<T, double>)
          return number_json(v, entry.type == gguf::ValueType::kF32);
        else
          return v;
      },
      entry.value);
}

}  // namespace

Json metadata_json(const gguf::File& file, bool lists, const std::string& basename) {
  std::map<std::string, Json> sorted;
  for (const gguf::Entry& entry : file.entries())
    if (entry.key != "general.name" && entry.key != "tokenizer.chat_template")
      sorted[to_valid_utf8(entry.key)] = value_json(entry, lists);
  if (auto& count = sorted["general.parameter_count"]; count.is_null()) {
    uint64_t sum = 0;
    for (const gguf::Tensor& tensor : file.tensors())
      sum = checked_add(sum, static_cast<uint64_t>(tensor.n_elements()))
                .value_or(std::numeric_limits<uint64_t>::max());
    count = sum;
  }
  // The one that formats have had ever since there are GGUF files; Ollama's copies of files all say so.
  constexpr int kQuantizationVersion = 2;
  if (sorted.contains("general.file_type"))
    sorted.try_emplace("general.quantization_version", kQuantizationVersion);
  if (!basename.empty()) sorted["general.basename"] = basename;
  return sorted;  // all at once: adding keys one by one would look for each among those before it
}

Json tensors_json(const gguf::File& file) {
  Json out = Json::array();
  for (const gguf::Tensor* each : in_block_order(file)) {
    const gguf::Tensor& tensor = *each;
    Json shape = Json::array();
    for (int d = 0; d < tensor.n_dims; ++d) shape.push_back(tensor.shape[static_cast<size_t>(d)]);
    out.push_back(Json{
        {"name", to_valid_utf8(tensor.name)}, {"type", type_name(tensor.type)}, {"shape", std::move(shape)}});
  }
  return out;
}

}  // namespace quipu::store

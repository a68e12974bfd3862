#include "model/model.h"

#include <limits>
#include <map>

#include "base/checked.h"
#include "model/decoder.h"

namespace quipu {

uint64_t Model::kv_block_bytes(KvTypes types) const {
  uint64_t sum = 0;
  for (const kv::KvLayout& l : kv_layouts(types))
    sum = checked_add<uint64_t>(sum, l.block_bytes()).value_or(UINT64_MAX);
  return sum;
}

std::string_view supported_architectures() { return "llama, granite"; }

Result<std::unique_ptr<Model>> load_model(const gguf::File& file) {
  const std::string_view arch = file.architecture();
  if (arch.empty())
    return error(Code::kCorrupt, "{}: the file does not name its architecture (general.architecture)",
                 file.path());
  if (arch == "llama" || arch == "granite" || arch == "granite_swa") return Decoder::load(file);
  return error(Code::kUnsupported, "{}: the architecture '{}' is not supported yet (these are: {})",
               file.path(), arch, supported_architectures());
}

int64_t count_parameters(const gguf::File& file) {
  int64_t n = 0;
  // Without its data a file can claim anything.
  for (const gguf::Tensor& t : file.tensors())
    n = checked_add(n, t.n_elements()).value_or(std::numeric_limits<int64_t>::max());
  return n;
}

std::string quantization_name(const gguf::File& file) {
  // Spec: gguf-and-models 2.1, general.file_type.
  static const std::map<uint64_t, const char*> kNames = {
      {0, "F32"},     {1, "F16"},     {2, "Q4_0"},       {3, "Q4_1"},    {7, "Q8_0"},     {8, "Q5_0"},
      {9, "Q5_1"},    {10, "Q2_K"},   {11, "Q3_K_S"},    {12, "Q3_K_M"}, {13, "Q3_K_L"},  {14, "Q4_K_S"},
      {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},    {18, "Q6_K"},   {19, "IQ2_XXS"}, {20, "IQ2_XS"},
      {21, "Q2_K_S"}, {22, "IQ3_XS"}, {23, "IQ3_XXS"},   {24, "IQ1_S"},  {25, "IQ4_NL"},  {26, "IQ3_S"},
      {27, "IQ3_M"},  {28, "IQ2_S"},  {29, "IQ2_M"},     {30, "IQ4_XS"}, {31, "IQ1_M"},   {32, "BF16"},
      {36, "TQ1_0"},  {37, "TQ2_0"},  {38, "MXFP4_MOE"}, {39, "NVFP4"},  {40, "Q1_0"},    {41, "Q2_0"}};
  if (auto type = file.uint("general.file_type"); type && *type)
    if (auto it = kNames.find(**type); it != kNames.end()) return it->second;
  std::map<std::string, uint64_t> bytes;
  for (const gguf::Tensor& t : file.tensors())
    if (const TypeInfo* info = type_info(t.type))
      bytes[info->name] += static_cast<uint64_t>(t.n_elements()) / static_cast<uint64_t>(info->block_elems) *
                           static_cast<uint64_t>(info->block_bytes);
  std::string best = "unknown";
  uint64_t most = 0;
  for (const auto& [name, n] : bytes)
    if (n > most) best = name, most = n;
  return best;
}

}  // namespace quipu

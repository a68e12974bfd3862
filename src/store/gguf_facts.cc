#include "store/gguf_facts.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/checked.h"

namespace quipu::store {

namespace {

constexpr std::array<std::pair<uint64_t, const char*>, 34> kFileTypes = {{
    {1, "F16"},     {2, "Q4_0"},       {3, "Q4_1"},    {7, "Q8_0"},     {8, "Q5_0"},    {9, "Q5_1"},
    {10, "Q2_K"},   {11, "Q3_K_S"},    {12, "Q3_K_M"}, {13, "Q3_K_L"},  {14, "Q4_K_S"}, {15, "Q4_K_M"},
    {16, "Q5_K_S"}, {17, "Q5_K_M"},    {18, "Q6_K"},   {19, "IQ2_XXS"}, {20, "IQ2_XS"}, {21, "Q2_K_S"},
    {22, "IQ3_XS"}, {23, "IQ3_XXS"},   {24, "IQ1_S"},  {25, "IQ4_NL"},  {26, "IQ3_S"},  {27, "IQ3_M"},
    {28, "IQ2_S"},  {29, "IQ2_M"},     {30, "IQ4_XS"}, {31, "IQ1_M"},   {32, "BF16"},   {36, "TQ1_0"},
    {37, "TQ2_0"},  {38, "MXFP4_MOE"}, {39, "NVFP4"},  {40, "Q1_0"},
}};

// A value of the wrong type counts as absent: what lists show should not depend on every key being right.
uint64_t number(const gguf::File& file, const std::string& key) {
  const auto v = file.uint(key);
  if (v && *v) return **v;
  // Some keys have a value for each layer: the largest speaks for all.
  const auto list = file.array(key);
  const auto values = list && *list ? (*list)->as_ints() : std::nullopt;
  uint64_t most = 0;
  for (const int64_t each : values.value_or(std::vector<int64_t>()))
    if (each > 0) most = std::max(most, static_cast<uint64_t>(each));
  return most;
}

std::string text(const gguf::File& file, const std::string& key) {
  const auto v = file.string(key);
  return v && *v ? std::string(**v) : std::string();
}

bool flag(const gguf::File& file, const std::string& key) {
  const auto v = file.boolean(key);
  return v && *v && **v;
}

uint64_t count_parameters(const gguf::File& file) {
  if (const uint64_t declared = number(file, "general.parameter_count")) return declared;
  uint64_t sum = 0;
  for (const gguf::Tensor& tensor : file.tensors())
    sum = checked_add(sum, static_cast<uint64_t>(tensor.n_elements()))
              .value_or(std::numeric_limits<uint64_t>::max());
  return sum;
}

}  // namespace

bool GgufFacts::is_projector() const {
  if (kind == "projector" || kind == "mmproj") return true;
  if (has_blocks) return false;
  return has_vision || (architecture == "clip" && (has_vision_encoder || has_audio_encoder));
}

GgufFacts facts_of(const GgufHeader& header) {
  const gguf::File& file = header.file();
  GgufFacts facts;
  facts.architecture = std::string(file.architecture());
  const std::string arch = facts.architecture + ".";
  facts.kind = text(file, "general.type");
  facts.parameter_count = count_parameters(file);
  facts.file_type = file_type_name(number(file, "general.file_type"));
  facts.context_length = number(file, arch + "context_length");
  facts.embedding_length = number(file, arch + "embedding_length");
  facts.has_blocks = number(file, arch + "block_count") > 0;
  facts.has_pooling = file.find(arch + "pooling_type") != nullptr;
  facts.has_vision = file.find(arch + "vision.block_count") != nullptr;
  facts.has_audio = file.find(arch + "audio.block_count") != nullptr;
  facts.has_vision_encoder = flag(file, arch + "has_vision_encoder");
  facts.has_audio_encoder = flag(file, arch + "has_audio_encoder");
  facts.vision_projector_type = text(file, arch + "vision.projector_type");
  facts.chat_template = text(file, "tokenizer.chat_template");
  facts.split_count = number(file, "split.count");
  facts.split_number = number(file, "split.no");
  return facts;
}

std::string file_type_name(uint64_t file_type) {
  for (const auto& [id, name] : kFileTypes)
    if (id == file_type) return name;
  return "unknown";
}

std::string format_parameter_count(uint64_t n) {
  const auto n_of = [n](double unit) { return static_cast<double>(n) / unit; };
  const auto whole = [](double v) { return v == std::floor(v); };
  if (n >= 1'000'000'000)
    return whole(n_of(1e9)) ? fmt::format("{:.0f}B", n_of(1e9)) : fmt::format("{:.1f}B", n_of(1e9));
  if (n >= 1'000'000)
    return whole(n_of(1e6)) ? fmt::format("{:.0f}M", n_of(1e6)) : fmt::format("{:.2f}M", n_of(1e6));
  if (n >= 1'000) return fmt::format("{:.0f}K", n_of(1e3));
  return fmt::format("{}", n);
}

Result<std::shared_ptr<const GgufFacts>> GgufFactsCache::get(const Digest& digest, const std::string& path) {
  {
    const std::scoped_lock lock(mutex_);
    struct stat info{};
    if (const auto it = facts_.find(digest); it != facts_.end()) {
      if (::stat(path.c_str(), &info) == 0) return it->second;
      facts_.erase(it);  // and reading says what is wrong
    }
  }
  QUIPU_ASSIGN(const GgufHeader header, GgufHeader::read(path));
  auto facts = std::make_shared<const GgufFacts>(facts_of(header));
  const std::scoped_lock lock(mutex_);
  if (facts_.size() >= kMost) facts_.erase(facts_.begin());
  facts_.insert_or_assign(digest, facts);
  return facts;
}

}  // namespace quipu::store

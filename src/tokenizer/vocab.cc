#include "tokenizer/vocab.h"

#include <sys/random.h>

#include <algorithm>

#include "base/checked.h"

namespace quipu {

namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";

// In the file each string stands behind its length.
constexpr size_t kLengthBytes = 8;

// Offsets are 32 bits wide; merge rules have 21 bits for a symbol, and there are symbols that are no tokens
// (Merges).
constexpr size_t kMaxTextBytes = UINT32_MAX - kLengthBytes;
constexpr size_t kMaxTokens = 1u << 20;

uint64_t random_key() {
  uint64_t key = 0;
  // Without entropy the tables still work; they are then only as good as a hash known to everybody.
  if (getrandom(&key, sizeof key, GRND_NONBLOCK) != sizeof key) key = 0x51;
  return key;
}

uint8_t attribute_of_type(int64_t type) {
  switch (type) {
    case 1:
      return kNormal;
    case 2:
      return kUnknown;
    case 3:
      return kControl;
    case 4:
      return kUserDefined;
    case 5:
      return kUnused;
    case 6:
      return kByte;
    default:
      return 0;
  }
}

}  // namespace

Result<Vocab> Vocab::load(const gguf::File& file) {
  Vocab vocab(random_key());
  QUIPU_TRY(vocab.read_texts(file));
  QUIPU_TRY(vocab.read_types(file));
  return vocab;
}

Result<void> Vocab::read_texts(const gguf::File& file) {
  QUIPU_ASSIGN(const auto array, file.array(kTokensKey));
  if (!array) return error(Code::kCorrupt, "the file names a tokenizer but has no {}", kTokensKey);
  if (array->element() != gguf::ValueType::kString)
    return error(Code::kCorrupt, "{} is not an array of strings", kTokensKey);
  const auto texts = array->as_strings();
  if (!texts) return error(Code::kCorrupt, "{} cannot be read as strings", kTokensKey);
  if (texts->empty()) return error(Code::kCorrupt, "{} is empty", kTokensKey);
  if (array->raw().size() > kMaxTextBytes || texts->size() > kMaxTokens)
    return error(Code::kUnsupported, "{} has {} entries in {} bytes: too large a vocabulary", kTokensKey,
                 texts->size(), array->raw().size());

  texts_ = reinterpret_cast<const char*>(array->raw().data());
  const auto n = static_cast<uint32_t>(texts->size());
  offsets_.reserve(n + 1);
  attributes_.assign(n, kNormal);
  size_t begin = kLengthBytes;
  for (uint32_t i = 0; i < n; ++i) {
    const std::string_view t = (*texts)[i];
    offsets_.push_back(static_cast<uint32_t>(begin));
    begin += t.size() + kLengthBytes;
    if (t.empty()) renamed_.emplace_back(static_cast<Token>(i), fmt::format("[EMPTY_{}]", i));
  }
  if (begin != array->raw().size() + kLengthBytes)
    return error(Code::kInternal, "the entries of {} do not lie one behind the other", kTokensKey);
  offsets_.push_back(static_cast<uint32_t>(begin));

  by_text_ = HashIndex(n);
  for (uint32_t i = 0; i < n; ++i) {
    const std::string_view t = text(static_cast<Token>(i));
    longest_text_ = std::max(longest_text_, static_cast<uint32_t>(t.size()));
    const auto same = [&](uint32_t other) { return text(static_cast<Token>(other)) == t; };
    if (const auto other = by_text_.insert(hash_(t), i, same))
      return error(Code::kCorrupt, "{}: tokens {} and {} have the same text", kTokensKey, *other, i);
  }
  return {};
}

Result<void> Vocab::read_types(const gguf::File& file) {
  QUIPU_ASSIGN(const auto array, file.array(kTypesKey));
  if (!array) return {};
  const auto types = array->as_ints();
  if (!types) return error(Code::kCorrupt, "{} is not an array of integers", kTypesKey);
  if (types->size() < attributes_.size())
    return error(Code::kCorrupt, "{} has {} entries for {} tokens", kTypesKey, types->size(),
                 attributes_.size());
  for (size_t i = 0; i < attributes_.size(); ++i) attributes_[i] = attribute_of_type((*types)[i]);
  return {};
}

std::string_view Vocab::text(Token id) const {
  const uint32_t begin = offsets_[static_cast<size_t>(id)];
  // One behind the other, each behind its length: where the next begins says where this one ends.
  const uint32_t length = offsets_[static_cast<size_t>(id) + 1] - static_cast<uint32_t>(kLengthBytes) - begin;
  if (length > 0) return {texts_ + begin, length};
  const auto renamed = std::lower_bound(renamed_.begin(), renamed_.end(), id,
                                        [](const auto& entry, Token wanted) { return entry.first < wanted; });
  return renamed == renamed_.end() ? std::string_view() : renamed->second;
}

std::optional<Token> Vocab::find(std::string_view text) const {
  const auto same = [&](uint32_t id) { return this->text(static_cast<Token>(id)) == text; };
  const auto id = by_text_.find(hash_(text), same);
  if (!id) return std::nullopt;
  return static_cast<Token>(*id);
}

size_t Vocab::memory_bytes() const {
  size_t bytes = offsets_.capacity() * sizeof(offsets_[0]) + attributes_.capacity() + by_text_.memory_bytes();
  for (const auto& [id, text] : renamed_) bytes += sizeof(renamed_[0]) + text.capacity();
  return bytes;
}

}  // namespace quipu

#include "gguf/parse.h"

#include <bit>

namespace quipu::gguf {

namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kLeastEntryBytes = 13;   // empty key, type, one byte
constexpr uint64_t kLeastTensorBytes = 24;  // empty name, no dimensions

struct Header {
  uint64_t n_tensors = 0, n_entries = 0;
};

// `n` records of at least `least` bytes each: possible?
Result<void> check_count(uint64_t n, uint64_t least, std::string_view what, const Cursor& c) {
  if (n > c.remaining() / least)
    return error(Code::kCorrupt, "the header claims {} {}, but only {} bytes of the file are left", n, what,
                 c.remaining());
  if (n > kMaxRecords)
    return error(Code::kUnsupported, "the header claims {} {}; {} is the limit", n, what, kMaxRecords);
  return {};
}

Result<Header> parse_header(Cursor& c) {
  const Place place;
  const auto magic = c.take(4, place);
  if (!magic || std::memcmp(magic->data(), "GGUF", 4) != 0)
    return error(Code::kCorrupt, "this is not a GGUF file (it does not begin with \"GGUF\")");
  QUIPU_ASSIGN(const uint32_t version, c.read<uint32_t>(place));
  if (version != 0 && (version & 0xffff) == 0)
    return error(Code::kUnsupported, "the file was written for big-endian machines; it has to be converted");
  if (version == 1)
    return error(Code::kUnsupported,
                 "GGUF version 1 is too old (2 and 3 are supported); convert the model again");
  if (version != 2 && version != 3)
    return error(Code::kUnsupported, "GGUF version {} is not supported (2 and 3 are)", version);
  Header h;
  QUIPU_ASSIGN(h.n_tensors, c.read<uint64_t>(place));
  QUIPU_ASSIGN(h.n_entries, c.read<uint64_t>(place));
  QUIPU_TRY(check_count(h.n_tensors, kLeastTensorBytes, "tensors", c));
  QUIPU_TRY(check_count(h.n_entries, kLeastEntryBytes, "metadata keys", c));
  return h;
}

Result<uint64_t> alignment_of(const EntryIndex& index) {
  const Entry* e = index.find("general.alignment");
  if (e == nullptr) return kDefaultAlignment;
  const auto* v = std::get_if<uint64_t>(&e->value);
  if (e->type != ValueType::kU32 || v == nullptr)
    return error(Code::kCorrupt, "general.alignment must be a 32-bit unsigned integer");
  if (!std::has_single_bit(*v) || *v > kMaxAlignment)
    return error(Code::kCorrupt, "general.alignment is {}; it must be a power of two of at most {}", *v,
                 kMaxAlignment);
  return *v;
}

}  // namespace

Result<Parsed> parse_gguf(std::span<const std::byte> bytes, File::Options options) {
  Cursor c(bytes);
  QUIPU_ASSIGN(const Header header, parse_header(c));
  Parsed parsed;
  QUIPU_ASSIGN(parsed.entries, parse_entries(c, header.n_entries));
  const EntryIndex index(parsed.entries);
  if (const auto twice = index.first_duplicate())
    return error(Code::kCorrupt, "metadata key '{}' occurs twice", shown(*twice));
  QUIPU_ASSIGN(const uint64_t alignment, alignment_of(index));
  QUIPU_ASSIGN(parsed.tensors, parse_tensors(c, header.n_tensors, alignment, bytes, options));
  if (const auto twice = TensorIndex(parsed.tensors).first_duplicate())
    return error(Code::kCorrupt, "two tensors are named '{}'", shown(*twice));
  return parsed;
}

}  // namespace quipu::gguf

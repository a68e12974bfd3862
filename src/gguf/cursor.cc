#include "gguf/cursor.h"

namespace quipu::gguf {

std::string shown(std::string_view s) {
  constexpr size_t kMostShown = 80;
  std::string out;
  for (const char c : s.substr(0, kMostShown))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  // A character may have been cut in two.
  if (s.size() > kMostShown) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0) out.pop_back();
    out += "...";
  }
  return out;
}

std::string Place::text() const {
  switch (kind) {
    case Kind::kHeader:
      return "the header";
    case Kind::kKey:
      return fmt::format("metadata key {}", number);
    case Kind::kValue:
      return fmt::format("the value of metadata key '{}'", shown(name));
    case Kind::kTensor:
      return fmt::format("the description of tensor '{}'", shown(name));
    case Kind::kTensorName:
      return fmt::format("the name of tensor {}", number);
  }
  return "the file";
}

std::unexpected<Error> Cursor::ends(const Place& place) const {
  return error(Code::kCorrupt, "the file ends within {} (after byte {} of {}): it is incomplete",
               place.text(), at_, bytes_.size());
}

std::unexpected<Error> Cursor::too_long(const Place& place, uint64_t n) const {
  if (n > kMaxString)
    return error(Code::kCorrupt, "{} has a string of {} bytes; {} is the limit", place.text(), n, kMaxString);
  return error(Code::kCorrupt, "{} has a string of {} bytes, but only {} bytes of the file are left",
               place.text(), n, remaining());
}

}  // namespace quipu::gguf

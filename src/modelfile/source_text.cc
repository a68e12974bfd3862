#include "modelfile/source_text.h"

#include "base/utf8.h"

namespace quipu::modelfile {

namespace {

std::string decode_utf16(std::string_view bytes, bool big_endian) {
  constexpr char32_t kReplacement = 0xfffd;
  const auto unit = [&](size_t at) -> char32_t {
    const auto a = static_cast<unsigned char>(bytes[at]), b = static_cast<unsigned char>(bytes[at + 1]);
    return big_endian ? static_cast<char32_t>(a << 8 | b) : static_cast<char32_t>(b << 8 | a);
  };
  const auto is_high = [](char32_t c) { return c >= 0xd800 && c <= 0xdbff; };
  const auto is_low = [](char32_t c) { return c >= 0xdc00 && c <= 0xdfff; };
  std::string out;
  size_t at = 0;
  for (; at + 1 < bytes.size(); at += 2) {
    const char32_t c = unit(at);
    if (is_high(c) && at + 3 < bytes.size() && is_low(unit(at + 2))) {
      append_code_point(out, 0x10000 + ((c - 0xd800) << 10) + (unit(at + 2) - 0xdc00));
      at += 2;
    } else {
      append_code_point(out, is_high(c) || is_low(c) ? kReplacement : c);
    }
  }
  if (at < bytes.size()) append_code_point(out, kReplacement);  // half a unit
  return out;
}

}  // namespace

std::string decode_source(std::string_view bytes) {
  if (bytes.starts_with("\xff\xfe")) return decode_utf16(bytes.substr(2), false);
  if (bytes.starts_with("\xfe\xff")) return decode_utf16(bytes.substr(2), true);
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  return to_valid_utf8(bytes);
}

}  // namespace quipu::modelfile

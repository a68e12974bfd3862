#include "tokenizer/utf8.h"

#include "tokenizer/tokenizer.h"

namespace quipu {

namespace {

constexpr char32_t kReplacement = 0xFFFD;

uint32_t encoded_length(char32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

unsigned char byte_at(std::string_view s, size_t i) { return static_cast<unsigned char>(s[i]); }

enum class Sequence { kComplete, kIncomplete, kInvalid };

// What strict UTF-8 says of the front of `s` (not empty); `length` is set when a character is complete.
Sequence strict_sequence(std::string_view s, size_t& length) {
  const unsigned char lead = byte_at(s, 0);
  if (lead < 0x80) {
    length = 1;
    return Sequence::kComplete;
  }
  if (lead < 0xC2 || lead > 0xF4) return Sequence::kInvalid;
  length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range keeps out overlong forms, surrogates and what lies above U+10FFFF.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i >= s.size()) return Sequence::kIncomplete;
    const unsigned char c = byte_at(s, i);
    if (c < (i == 1 ? low : 0x80) || c > (i == 1 ? high : 0xBF)) return Sequence::kInvalid;
  }
  return Sequence::kComplete;
}

}  // namespace

CodePoint decode_lenient(std::string_view text) {
  const unsigned char lead = byte_at(text, 0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xC0 || lead >= 0xF8) return {};
  const uint32_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < length) return {};
  char32_t c = lead & (0x7F >> length);
  for (uint32_t i = 1; i < length; ++i) {
    const unsigned char next = byte_at(text, i);
    if ((next & 0xC0) != 0x80) return {};
    c = c << 6 | (next & 0x3F);
  }
  if (c > 0x10FFFF) return {};
  return {c, length};
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&out](char32_t b) { out.push_back(static_cast<char>(b)); };
  const auto tail = [&](int shift) { put(0x80 | (c >> shift & 0x3F)); };
  switch (encoded_length(c)) {
    case 1:
      put(c);
      return;
    case 2:
      put(0xC0 | c >> 6);
      break;
    case 3:
      put(0xE0 | c >> 12);
      tail(6);
      break;
    default:
      put(0xF0 | c >> 18);
      tail(12);
      tail(6);
  }
  tail(0);
}

std::string_view normalise_utf8(std::string_view text, std::string& buffer) {
  buffer.clear();
  size_t copied = 0;  // text before this is in the buffer, if anything is
  bool changed = false;
  for (size_t at = 0; at < text.size();) {
    if (byte_at(text, at) < 0x80) {
      ++at;
      continue;
    }
    const CodePoint c = decode_lenient(text.substr(at));
    if (c.length != 0 && c.length == encoded_length(c.value)) {
      at += c.length;
      continue;
    }
    changed = true;
    buffer.append(text, copied, at - copied);
    append_utf8(buffer, c.length == 0 ? kReplacement : c.value);
    at += c.length == 0 ? 1 : c.length;
    copied = at;
  }
  if (!changed) return text;
  buffer.append(text, copied);
  return buffer;
}

std::string Utf8Stream::push(std::string_view bytes) {
  std::string joined;
  std::string_view rest = bytes;
  if (!held_.empty()) {
    joined = std::move(held_);
    joined.append(bytes);
    rest = joined;
    held_.clear();
  }
  std::string out;
  out.reserve(rest.size());
  while (!rest.empty()) {
    size_t length = 1;
    const Sequence found = strict_sequence(rest, length);
    if (found == Sequence::kIncomplete) break;
    if (found == Sequence::kComplete) {
      out.append(rest, 0, length);
    } else {
      append_utf8(out, kReplacement);
      length = 1;
    }
    rest.remove_prefix(length);
  }
  held_.assign(rest);
  return out;
}

std::string Utf8Stream::finish() {
  std::string out;
  for (size_t i = 0; i < held_.size(); ++i) append_utf8(out, kReplacement);
  held_.clear();
  return out;
}

}  // namespace quipu

#include "server/router.h"

namespace quipu::server {

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Target parse_target(std::string_view target) {
  Target out;
  // The absolute form, which proxies send.
  if (const size_t scheme = target.find("://"); scheme != target.npos && target.find('/') > scheme) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == target.npos ? "/" : target.substr(slash);
  }
  const size_t question = target.find('?');
  if (question != target.npos) out.query = std::string(target.substr(question + 1));
  const std::string_view path = target.substr(0, question);
  out.valid = path.starts_with('/');
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out.path += path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? hex_value(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_value(path[i + 2]) : -1;
    if (high < 0 || low < 0) {
      out.valid = false;
      return out;
    }
    out.path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at < path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    at = slash + 1;
  }
  std::string out;
  for (const std::string_view part : parts) out += "/" + std::string(part);
  if (out.empty() || path.ends_with('/')) out += '/';
  return out;
}

std::string escape_path(std::string_view path) {
  constexpr std::string_view kPlain = "-_.~$&+,/:;=@";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const auto byte = static_cast<unsigned char>(c);
    if (word || kPlain.find(c) != kPlain.npos)
      out += c;
    else
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

}  // namespace quipu::server

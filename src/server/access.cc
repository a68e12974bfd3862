#include "server/access.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace quipu::server {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// Without the port and the brackets of an IPv6 address.
std::string host_of(std::string_view header) {
  if (header.starts_with('[')) {
    const size_t end = header.find(']');
    return lower(header.substr(1, end == header.npos ? header.npos : end - 1));
  }
  const size_t colon = header.rfind(':');
  if (colon != header.npos && header.find(':') == colon) header = header.substr(0, colon);
  return lower(header);
}

struct Address {
  std::array<uint8_t, 16> bytes{};
  bool v4 = false;
};

std::optional<Address> parse_address(const std::string& text) {
  Address a;
  if (inet_pton(AF_INET, text.c_str(), a.bytes.data()) == 1) {
    a.v4 = true;
    return a;
  }
  if (inet_pton(AF_INET6, text.c_str(), a.bytes.data()) != 1) return std::nullopt;
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), a.bytes.begin())) {
    std::copy(a.bytes.begin() + 12, a.bytes.end(), a.bytes.begin());
    a.v4 = true;
  }
  return a;
}

bool loopback(const Address& a) {
  if (a.v4) return a.bytes[0] == 127;
  return std::all_of(a.bytes.begin(), a.bytes.begin() + 15, [](uint8_t b) { return b == 0; }) &&
         a.bytes[15] == 1;
}

bool unspecified(const Address& a) {
  const auto n = a.v4 ? 4 : 16;
  return std::all_of(a.bytes.begin(), a.bytes.begin() + n, [](uint8_t b) { return b == 0; });
}

bool private_use(const Address& a) {
  if (!a.v4) return (a.bytes[0] & 0xfe) == 0xfc;
  return a.bytes[0] == 10 || (a.bytes[0] == 172 && (a.bytes[1] & 0xf0) == 16) ||
         (a.bytes[0] == 192 && a.bytes[1] == 168);
}

bool own_address(const Address& wanted) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return false;
  bool found = false;
  for (const ifaddrs* i = list; i != nullptr && !found; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    if (wanted.v4 && i->ifa_addr->sa_family == AF_INET)
      found = std::memcmp(&reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr, wanted.bytes.data(),
                          4) == 0;
    if (!wanted.v4 && i->ifa_addr->sa_family == AF_INET6)
      found = std::memcmp(&reinterpret_cast<const sockaddr_in6*>(i->ifa_addr)->sin6_addr, wanted.bytes.data(),
                          16) == 0;
  }
  freeifaddrs(list);
  return found;
}

constexpr const char* kAllowedHeaders =
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-"
    "Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout";

}  // namespace

bool is_loopback(const http::Endpoint& endpoint) {
  if (endpoint.is_unix()) return true;
  if (endpoint.host == "localhost") return true;
  const auto address = parse_address(endpoint.host);
  return address && loopback(*address);
}

bool matches(std::string_view pattern, std::string_view text) {
  // Greedy with one place to go back to: linear in practice, and never worse than pattern x text.
  size_t p = 0, t = 0, star = pattern.npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Access::Access(const http::Endpoint& bound, std::vector<std::string> origins, std::string key)
    : check_host_(!bound.is_unix() && is_loopback(bound)),
      origins_(std::move(origins)),
      key_(std::move(key)) {
  for (const char* host : {"localhost", "127.0.0.1", "0.0.0.0"})
    for (const char* scheme : {"http://", "https://"})
      for (const char* port : {"", ":*"}) origins_.push_back(std::string(scheme) + host + port);
  for (const char* scheme : {"app", "file", "tauri", "vscode-webview", "vscode-file"})
    origins_.push_back(std::string(scheme) + "://*");
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) == 0) host_name_ = lower(name);
}

bool Access::host_allowed(std::string_view header) const {
  if (!check_host_) return true;
  const std::string host = host_of(header);
  if (const auto a = parse_address(host))
    return loopback(*a) || private_use(*a) || unspecified(*a) || own_address(*a);
  if (host.empty() || host == "localhost" || host == host_name_) return true;
  for (const char* suffix : {".localhost", ".local", ".internal"})
    if (host.ends_with(suffix)) return true;
  return false;
}

bool Access::any_origin() const { return std::find(origins_.begin(), origins_.end(), "*") != origins_.end(); }

bool Access::origin_allowed(std::string_view origin) const {
  return std::any_of(origins_.begin(), origins_.end(),
                     [&](const std::string& p) { return matches(p, origin); });
}

bool Access::key_allowed(const http::Request& request) const {
  if (key_.empty()) return true;
  const auto header = request.headers.find("Authorization");
  constexpr std::string_view kScheme = "Bearer ";
  if (!header || header->size() < kScheme.size() ||
      !http::equal_ignoring_case(header->substr(0, kScheme.size()), kScheme))
    return false;
  const std::string_view given = header->substr(kScheme.size());
  unsigned difference = given.size() == key_.size() ? 0 : 1;
  for (size_t i = 0; i < key_.size(); ++i)
    difference |= static_cast<unsigned>(key_[i] ^ (i < given.size() ? given[i] : '\0'));
  return difference == 0;
}

http::Headers Access::cors_headers(std::string_view origin) const {
  if (any_origin()) return {{"Access-Control-Allow-Origin", "*"}};
  return {{"Access-Control-Allow-Origin", std::string(origin)}, {"Vary", "Origin"}};
}

http::Headers Access::preflight_headers(std::string_view origin) const {
  http::Headers out = {{"Access-Control-Allow-Headers", kAllowedHeaders},
                       {"Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"},
                       {"Access-Control-Allow-Origin", any_origin() ? "*" : std::string(origin)},
                       {"Access-Control-Max-Age", "43200"}};
  // What the answer depends on; caches have to know.
  if (!any_origin()) {
    out.add("Vary", "Access-Control-Request-Headers");
  }
  return out;
}

}  // namespace quipu::server

#include "http/endpoint.h"

#include <sys/un.h>

#include <charconv>

namespace quipu::http {
namespace {

constexpr std::string_view kUnixScheme = "unix://";

Result<Endpoint> parse_unix(std::string_view path) {
  if (path.empty() || path.front() != '/' || path.find('\0') != path.npos) {
    return error(Code::kInvalidArgument, "a Unix socket is written unix:///absolute/path, not unix://{}",
                 path);
  }
  // The kernel's own limit on the length of a socket's name, its terminating zero included.
  constexpr size_t kLimit = sizeof(sockaddr_un::sun_path);
  if (path.size() >= kLimit) {
    return error(Code::kInvalidArgument, "the socket path {} has {} bytes; the system allows {}", path,
                 path.size(), kLimit - 1);
  }
  return Endpoint{.path = std::string(path), .host = {}, .port = 0};
}

bool plausible_host(std::string_view host) {
  for (const char c : host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '/' || c == '[' || c == ']' || c == '@')
      return false;
  }
  return true;
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  if (text.starts_with(kUnixScheme)) return parse_unix(text.substr(kUnixScheme.size()));

  const size_t colon = text.rfind(':');
  if (colon == text.npos) {
    return error(Code::kInvalidArgument, "'{}' is not an endpoint: host:port or unix:///path is needed",
                 text);
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (status != std::errc() || end != digits.data() + digits.size()) {
    return error(Code::kInvalidArgument, "'{}' in '{}' is not a port (0 to 65535)", digits, text);
  }
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return error(Code::kInvalidArgument, "the IPv6 address in '{}' must stand in brackets: [::1]:port", text);
  }
  if (!plausible_host(host)) return error(Code::kInvalidArgument, "'{}' is not a host name or address", host);
  return Endpoint{.path = {}, .host = std::string(host), .port = port};
}

std::string Endpoint::host_header() const {
  if (is_unix()) return "localhost";
  const bool ipv6 = host.find(':') != host.npos;
  return ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string Endpoint::to_string() const {
  return is_unix() ? std::string(kUnixScheme) + path : host_header();
}

}  // namespace quipu::http

#include "http/host_setting.h"

#include <charconv>

#include "base/environment.h"

namespace quipu::http {

namespace {

constexpr uint16_t kDefaultPort = 11434;

}  // namespace

HostSetting parse_host_setting(std::string_view text) {
  HostSetting out;
  if (text.starts_with("unix://")) {
    auto endpoint = Endpoint::parse(text);
    if (endpoint)
      out.endpoint = std::move(*endpoint);
    else
      out.warning = endpoint.error().message;
    if (!out.endpoint.is_unix()) out.endpoint = {.path = {}, .host = "127.0.0.1", .port = kDefaultPort};
    return out;
  }
  uint16_t port = kDefaultPort;
  bool has_scheme = false;
  if (const size_t at = text.find("://"); at != text.npos) {
    out.scheme = std::string(text.substr(0, at));
    for (char& c : out.scheme)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (out.scheme == "https") port = 443;
    if (out.scheme == "http") port = 80;
    text.remove_prefix(at + 3);
    has_scheme = true;
  }
  if (const size_t slash = text.find('/'); slash != text.npos) {
    std::string_view path = text.substr(slash);
    while (path.ends_with('/')) path.remove_suffix(1);
    out.path_prefix = std::string(path);
    text = text.substr(0, slash);
  }
  if (!has_scheme && text == "ollama.com") {
    out.scheme = "https";
    port = 443;
  }

  // "host", "host:port", ":port", "[v6]", "[v6]:port", or an address with more than one colon.
  std::string_view host = text, digits;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    host = text.substr(1, end == text.npos ? text.npos : end - 1);
    if (end != text.npos && text.substr(end + 1).starts_with(':')) digits = text.substr(end + 2);
  } else if (const size_t colon = text.find(':');
             colon != text.npos && text.find(':', colon + 1) == text.npos) {
    host = text.substr(0, colon);
    digits = text.substr(colon + 1);
  } else if (text.empty()) {
    host = "127.0.0.1";
  }
  if (!digits.empty()) {
    uint16_t given = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), given);
    if (ec == std::errc() && end == digits.data() + digits.size())
      port = given;
    else
      out.warning = fmt::format("'{}' is not a port; {} it is", digits, port);
  }
  out.endpoint = {.path = {}, .host = std::string(host), .port = port};
  return out;
}

HostSetting host_setting_from_environment() {
  const auto variable = environment({"QUIPU_HOST", "OLLAMA_HOST"});
  return parse_host_setting(variable ? variable->value : "");
}

}  // namespace quipu::http

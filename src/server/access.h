// Who may talk to the server: the Host header (against DNS rebinding), the Origin header (CORS) and the
// bearer key. Spec: ollama-compat 1.1, 4.3; quipu-extensions 3.
//
// Threads: immutable.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/endpoint.h"
#include "http/message.h"

namespace quipu::server {

class Access {
 public:
  // `origins`: patterns that come before the default ones. `bound`: where the server listens; hosts are
  // checked only on a loopback address. `key`: empty: none is needed.
  Access(const http::Endpoint& bound, std::vector<std::string> origins, std::string key);

  bool host_allowed(std::string_view host_header) const;
  bool origin_allowed(std::string_view origin) const;
  // Bearer key; constant time in the key's bytes.
  bool key_allowed(const http::Request& request) const;

  // The headers that an answer to this origin carries.
  http::Headers cors_headers(std::string_view origin) const;
  http::Headers preflight_headers(std::string_view origin) const;

  bool needs_key() const { return !key_.empty(); }

 private:
  bool any_origin() const;

  bool check_host_ = false;
  std::vector<std::string> origins_;
  std::string key_, host_name_;
};

bool is_loopback(const http::Endpoint& endpoint);

// `*` in the pattern stands for any text.
bool matches(std::string_view pattern, std::string_view text);

}  // namespace quipu::server

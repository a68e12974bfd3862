// Where a server listens and a client connects: a Unix socket or a TCP port.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu::http {

struct Endpoint {
  std::string path;  // of a Unix socket; empty: TCP
  std::string host;  // a name or an address without brackets; empty: all interfaces (servers only)
  uint16_t port = 0;

  bool is_unix() const { return !path.empty(); }
  std::string to_string() const;    // what parse() reads
  std::string host_header() const;  // for the Host line of a request

  // "unix:///path/to.sock", "host:port", "1.2.3.4:port", "[::1]:port" or ":port".
  static Result<Endpoint> parse(std::string_view text);
};

}  // namespace quipu::http

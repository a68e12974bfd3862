// OLLAMA_HOST and QUIPU_HOST: one text that says where a server listens and where a client connects.
// Spec: ollama-compat 4.2, quipu-extensions 3.
#pragma once

#include <string>
#include <string_view>

#include "http/endpoint.h"

namespace quipu::http {

struct HostSetting {
  std::string scheme = "http";  // or "https"
  Endpoint endpoint;            // host empty: a server binds all interfaces
  std::string path_prefix;      // of every request of a client: "/base", or empty
  std::string warning;          // what was wrong and passed over; empty: nothing
};

// Never fails: a port that is none is a warning, and the scheme's default port counts. Text that is no host
// at all is taken as a name that does not resolve.
HostSetting parse_host_setting(std::string_view text);

// From QUIPU_HOST, else OLLAMA_HOST, else http://127.0.0.1:11434.
HostSetting host_setting_from_environment();

}  // namespace quipu::http

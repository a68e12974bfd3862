#include "http/host_setting.h"

#include <gtest/gtest.h>

namespace quipu::http {
namespace {

struct Case {
  const char* text;
  const char* scheme;
  const char* host;
  int port;
  const char* prefix;
};

TEST(HostSetting, AllForms) {
  const Case cases[] = {{"", "http", "127.0.0.1", 11434, ""},
                        {"1.2.3.4", "http", "1.2.3.4", 11434, ""},
                        {"1.2.3.4:1234", "http", "1.2.3.4", 1234, ""},
                        {":1234", "http", "", 1234, ""},
                        {"example.com", "http", "example.com", 11434, ""},
                        {"example.com:56789", "http", "example.com", 56789, ""},
                        {"http://example.com", "http", "example.com", 80, ""},
                        {"https://example.com", "https", "example.com", 443, ""},
                        {"https://example.com:1234", "https", "example.com", 1234, ""},
                        {"HTTPS://example.com", "https", "example.com", 443, ""},
                        {"example.com/", "http", "example.com", 11434, ""},
                        {"example.com:1/ollama", "http", "example.com", 1, "/ollama"},
                        {"https://h/a/b/", "https", "h", 443, "/a/b"},
                        {"::1", "http", "::1", 11434, ""},
                        {"[::1]", "http", "::1", 11434, ""},
                        {"[::1]:1337", "http", "::1", 1337, ""},
                        {"[2001:db8::1]:99", "http", "2001:db8::1", 99, ""},
                        {"0.0.0.0", "http", "0.0.0.0", 11434, ""},
                        {"ollama.com", "https", "ollama.com", 443, ""}};
  for (const Case& c : cases) {
    const HostSetting s = parse_host_setting(c.text);
    EXPECT_EQ(s.scheme, c.scheme) << c.text;
    EXPECT_EQ(s.endpoint.host, c.host) << c.text;
    EXPECT_EQ(s.endpoint.port, c.port) << c.text;
    EXPECT_EQ(s.path_prefix, c.prefix) << c.text;
    EXPECT_TRUE(s.warning.empty()) << c.text << ": " << s.warning;
  }
}

TEST(HostSetting, PortsThatAreNoneAreAWarning) {
  const std::pair<const char*, int> cases[] = {
      {"h:66000", 11434}, {"h:-1", 11434}, {"h:x", 11434}, {"http://h:x", 80}, {"https://h:99999", 443}};
  for (const auto& [text, port] : cases) {
    const HostSetting s = parse_host_setting(text);
    EXPECT_EQ(s.endpoint.port, port) << text;
    EXPECT_FALSE(s.warning.empty()) << text;
  }
}

TEST(HostSetting, UnixSockets) {
  const HostSetting s = parse_host_setting("unix:///run/quipu.sock");
  EXPECT_EQ(s.endpoint.path, "/run/quipu.sock");
  EXPECT_TRUE(s.warning.empty());
  EXPECT_FALSE(parse_host_setting("unix://relative").warning.empty());
  EXPECT_FALSE(parse_host_setting("unix://relative").endpoint.is_unix());
}

}  // namespace
}  // namespace quipu::http

#include "server/access.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace quipu::server {
namespace {

const http::Endpoint kLoopback{.path = {}, .host = "127.0.0.1", .port = 11434};

TEST(Access, HostsOnLoopback) {
  const Access a(kLoopback, {}, "");
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
  for (const std::string host : {"",
                                 "localhost",
                                 "localhost:11434",
                                 "LOCALHOST",
                                 "127.0.0.1:1",
                                 "127.9.9.9",
                                 "[::1]:11434",
                                 "::1",
                                 "10.1.2.3",
                                 "172.16.0.1",
                                 "172.31.255.255",
                                 "192.168.1.1:80",
                                 "0.0.0.0",
                                 "[::]",
                                 "fd00::1",
                                 "foo.local",
                                 "a.b.localhost",
                                 "x.internal:99",
                                 "[::ffff:127.0.0.1]",
                                 static_cast<const char*>(name)})
    EXPECT_TRUE(a.host_allowed(host)) << host;
  for (const std::string host : {"evil.com", "evil.com:11434", "8.8.8.8", "172.32.0.1", "localhost.evil.com",
                                 "local", "2001:db8::1", "127.0.0.1.evil.com", "xlocal", "[::ffff:8.8.8.8]"})
    EXPECT_FALSE(a.host_allowed(host)) << host;
}

TEST(Access, HostsAreNotCheckedBeyondLoopback) {
  for (const char* bound : {"", "0.0.0.0", "192.168.1.1", "example.com"})
    EXPECT_TRUE(Access({.path = {}, .host = bound, .port = 1}, {}, "").host_allowed("evil.com")) << bound;
  EXPECT_TRUE(Access({.path = "/run/x", .host = {}, .port = 0}, {}, "").host_allowed("evil.com"));
  for (const char* bound : {"localhost", "::1", "127.0.0.2"})
    EXPECT_FALSE(Access({.path = {}, .host = bound, .port = 1}, {}, "").host_allowed("evil.com")) << bound;
}

TEST(Access, Origins) {
  const Access a(kLoopback, {"chrome-extension://*", "https://*.example.com"}, "");
  for (const char* origin :
       {"http://localhost", "https://localhost", "http://localhost:3000", "https://127.0.0.1:8080",
        "http://0.0.0.0", "app://obsidian", "file://x", "tauri://localhost", "vscode-webview://abc",
        "vscode-file://x", "chrome-extension://abc", "https://a.example.com"})
    EXPECT_TRUE(a.origin_allowed(origin)) << origin;
  for (const char* origin :
       {"https://example.com", "null", "http://localhost.evil.com", "http://evil.com",
        "http://127.0.0.1.evil.com", "ftp://localhost", "https://a.example.com.evil.com"})
    EXPECT_FALSE(a.origin_allowed(origin)) << origin;
  EXPECT_EQ(a.cors_headers("http://localhost").find("Access-Control-Allow-Origin"), "http://localhost");
  EXPECT_EQ(a.cors_headers("http://localhost").find("Vary"), "Origin");
  const Access any(kLoopback, {"*"}, "");
  EXPECT_TRUE(any.origin_allowed("https://anything"));
  EXPECT_EQ(any.cors_headers("https://anything").find("Access-Control-Allow-Origin"), "*");
  EXPECT_FALSE(any.cors_headers("https://anything").contains("Vary"));
}

TEST(Access, Patterns) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*b*c", "axxbyyc"));
  EXPECT_TRUE(matches("a*b", "aab"));
  EXPECT_FALSE(matches("a*b", "aabc"));
  EXPECT_FALSE(matches("", "a"));
  EXPECT_FALSE(matches("a*a*a*a*a*a*a*a*b", std::string(10'000, 'a')));
}

TEST(Access, Keys) {
  const Access open(kLoopback, {}, "");
  EXPECT_TRUE(open.key_allowed({}));
  const Access a(kLoopback, {}, "secret");
  const auto with = [&](const char* value) {
    http::Request r;
    r.headers = {{"Authorization", value}};
    return a.key_allowed(r);
  };
  EXPECT_TRUE(with("Bearer secret"));
  EXPECT_TRUE(with("bearer secret"));
  for (const char* bad :
       {"", "secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret", "Bearer Secret"})
    EXPECT_FALSE(with(bad)) << bad;
  EXPECT_FALSE(a.key_allowed({}));
}

}  // namespace
}  // namespace quipu::server

#include "server/router.h"

#include <gtest/gtest.h>

namespace quipu::server {
namespace {

Router<int> router() {
  Router<int> r;
  r.add("HEAD", "/", 1);
  r.add("GET", "/", 2);
  r.add("GET", "/api/tags", 3);
  r.add("POST", "/api/generate", 4);
  r.add("HEAD", "/api/blobs/:digest", 5);
  r.add("POST", "/api/blobs/:digest", 6);
  return r;
}

TEST(Router, Finds) {
  const auto r = router();
  const auto handler = [&](const char* method, const char* path) {
    const auto found = r.find(method, path);
    const auto* m = std::get_if<Router<int>::Match>(&found);
    return m != nullptr ? m->handler : 0;
  };
  EXPECT_EQ(handler("GET", "/"), 2);
  EXPECT_EQ(handler("HEAD", "/"), 1);
  EXPECT_EQ(handler("GET", "/api/tags"), 3);
  EXPECT_EQ(handler("GET", "/API/tags"), 0);
  EXPECT_EQ(handler("POST", "/api/blobs/sha256:ab"), 6);
  EXPECT_EQ(std::get<Router<int>::Match>(r.find("HEAD", "/api/blobs/x")).parameter, "x");
  EXPECT_EQ(handler("POST", "/api/blobs/"), 0);
  EXPECT_EQ(handler("POST", "/api/blobs/a/b"), 0);
}

TEST(Router, OtherMethodsAndOtherSpellings) {
  const auto r = router();
  const auto otherwise = [&](const char* method, const char* path) {
    return std::get<Router<int>::Otherwise>(r.find(method, path));
  };
  EXPECT_TRUE(otherwise("POST", "/").known);
  EXPECT_EQ(otherwise("POST", "/").allow, "HEAD, GET");
  EXPECT_FALSE(otherwise("GET", "/nope").known);
  EXPECT_EQ(otherwise("GET", "/nope").redirect, "");
  EXPECT_EQ(otherwise("GET", "/api/").redirect, "");
  EXPECT_EQ(otherwise("GET", "/api/tags/").redirect, "/api/tags");
  EXPECT_EQ(otherwise("HEAD", "/api/blobs/x/").redirect, "/api/blobs/x");
  // A slash too many is forgiven only to a method that the path without it has.
  EXPECT_EQ(otherwise("POST", "/api/tags/").redirect, "");
  EXPECT_EQ(otherwise("GET", "/api/generate/").redirect, "");
  EXPECT_FALSE(otherwise("GET", "/api/generate/").known);
  EXPECT_FALSE(otherwise("GET", "/api/tags/").cleaned);
  // Other spellings are put right before anything is looked for.
  for (const auto& [path, clean] : {std::pair<const char*, const char*>{"//api/tags", "/api/tags"},
                                    {"/api/../api/tags", "/api/tags"},
                                    {"/api/tags//", "/api/tags/"},
                                    {"/./nope", "/nope"}}) {
    EXPECT_EQ(otherwise("POST", path).redirect, clean);
    EXPECT_TRUE(otherwise("GET", path).cleaned) << path;
  }
}

TEST(Router, Targets) {
  EXPECT_EQ(parse_target("/a%2Fb?x=1").path, "/a/b");
  EXPECT_EQ(parse_target("/a?x=1").query, "x=1");
  EXPECT_EQ(parse_target("http://host:1/api/version").path, "/api/version");
  EXPECT_EQ(parse_target("http://host").path, "/");
  EXPECT_FALSE(parse_target("api/version").valid);
  EXPECT_FALSE(parse_target("/%zz").valid);
  EXPECT_FALSE(parse_target("/a%2").valid);
  EXPECT_EQ(clean_path("/a/./b//c/../d"), "/a/b/d");
  EXPECT_EQ(clean_path("/../.."), "/");
  EXPECT_EQ(clean_path("/a//"), "/a/");
  EXPECT_EQ(clean_path("/"), "/");
  EXPECT_EQ(escape_path("/a b/\r\nX:\xc3\xa9?"), "/a%20b/%0D%0AX:%C3%A9%3F");
}

}  // namespace
}  // namespace quipu::server

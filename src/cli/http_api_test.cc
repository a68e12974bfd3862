#include "cli/http_api.h"

#include <gtest/gtest.h>

#include <csignal>

#include "cli/test_console.h"
#include "http/server.h"

namespace quipu::cli {

namespace {

using http::Exchange;

http::HostSetting at(http::Endpoint endpoint) {
  http::HostSetting where;
  where.endpoint = std::move(endpoint);
  return where;
}

class HttpApiTest : public testing::Test {
 protected:
  HttpApi& start(http::Handler handler, std::string prefix = "") {
    auto server = http::Server::listen({.path = {}, .host = "127.0.0.1", .port = 0}, {}, std::move(handler));
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    http::HostSetting where;
    where.endpoint = server_->endpoint();
    where.path_prefix = std::move(prefix);
    api_ = std::make_unique<HttpApi>(where, console_.console());
    return *api_;
  }

  HttpApi& answering(int status, std::string body) {
    return start([=](const std::shared_ptr<Exchange>& e) { e->respond({.status = status, .body = body}); });
  }

  HttpApi& streaming(std::vector<std::string> pieces) {
    return start([pieces = std::move(pieces)](const std::shared_ptr<Exchange>& e) {
      e->start(200, {{"Content-Type", "application/x-ndjson"}});
      for (const std::string& piece : pieces) e->push(piece);
      e->finish();
    });
  }

  Result<void> stream() {
    lines_.clear();
    return api_->stream(
        "/api/chat", Json::object(),
        [&](const Json& line) {
          lines_ += line.dump() + ";";
          return true;
        },
        [] { return true; });
  }

  test::CapturedConsole console_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<HttpApi> api_;
  std::string lines_;
};

TEST_F(HttpApiTest, SendsWhatIsAsked) {
  std::string seen;
  setenv("QUIPU_API_KEY", "secret", 1);
  HttpApi& api = start(
      [&](const std::shared_ptr<Exchange>& e) {
        const http::Request& r = e->request();
        seen = fmt::format("{} {} {} {}", r.method, r.target, r.headers.find("Authorization").value_or("-"),
                           r.body);
        e->respond({.body = R"({"a":1})"});
      },
      "/base");
  const auto answer = api.call("POST", "/api/show", {{"model", "a\xff"}});
  unsetenv("QUIPU_API_KEY");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->dump(), R"({"a":1})");
  EXPECT_EQ(seen, "POST /base/api/show Bearer secret {\"model\":\"a\xef\xbf\xbd\"}");
  ASSERT_TRUE(api.call("GET", "/api/tags"));
  EXPECT_EQ(seen, "GET /base/api/tags - ");
}

TEST_F(HttpApiTest, ServerAndItsVersion) {
  std::string version = R"({"version":"0.32.15","quipu":{"version":"9.9.9","api":1}})";
  std::string seen;
  HttpApi& api = start([&](const std::shared_ptr<Exchange>& e) {
    seen += e->request().method + " " + e->request().target + ";";
    e->respond({.body = e->request().target == "/" ? "Ollama is running" : version});
  });
  ASSERT_TRUE(api.connect());
  EXPECT_EQ(seen, "HEAD /;GET /api/version;");
  EXPECT_EQ(api.version().quipu, "9.9.9");
  version = R"({"version":"0.5.13"})";
  HttpApi ollama(at(server_->endpoint()), console_.console());
  ASSERT_TRUE(ollama.connect());
  EXPECT_FALSE(ollama.version().is_quipu());
  EXPECT_EQ(ollama.version().ollama, "0.5.13");
  version = "<html>";  // not worth failing for
  EXPECT_TRUE(ollama.connect());
}

TEST_F(HttpApiTest, NobodyThere) {
  answering(200, "");
  const http::Endpoint free = server_->endpoint();
  server_.reset();
  const auto refused = HttpApi(at(free), console_.console()).connect();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(nobody_listens(refused.error())) << refused.error().message;
  const http::HostSetting unix_socket = at({.path = "/tmp/quipu-no-such-socket", .host = {}, .port = 0});
  EXPECT_TRUE(nobody_listens(HttpApi(unix_socket, console_.console()).connect().error()));
  const http::HostSetting unknown = at({.path = {}, .host = "no-such-host.invalid", .port = 1});
  EXPECT_FALSE(nobody_listens(HttpApi(unknown, console_.console()).connect().error()));
}

TEST_F(HttpApiTest, NoTls) {
  http::HostSetting where = at({.path = {}, .host = "example.com", .port = 443});
  where.scheme = "https";
  where.path_prefix = "/x";
  const auto r = HttpApi(where, console_.console()).connect();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message,
            "https://example.com:443/x: https is not supported by this client, which speaks plain http only");
}

TEST_F(HttpApiTest, RefusalsAreTheServersWords) {
  const auto refused = [&](int status, const char* body) {
    return answering(status, body).call("GET", "/api/ps").error();
  };
  EXPECT_EQ(refused(404, R"({"error":"model 'x' not found"})").message, "model 'x' not found");
  EXPECT_EQ(refused(404, R"({"error":"model 'x' not found"})").code, Code::kNotFound);
  EXPECT_EQ(refused(404, "404 page not found\n").message, "404 page not found");
  EXPECT_EQ(refused(403, "").message, "the server answered 403 Forbidden");
  EXPECT_EQ(refused(502, "<html>gateway</html>").message, "the server answered 502 Bad Gateway");
  EXPECT_EQ(answering(200, "<html>").call("GET", "/api/ps").error().message,
            "the server's answer to /api/ps is not JSON");
  EXPECT_TRUE(answering(200, "").call("DELETE", "/api/delete")->is_null());
}

TEST_F(HttpApiTest, AModelThatDoesNotFit) {
  const char* const body =
      R"({"error":"model needs 2.6 GB","quipu":{"plan":{},"table":"weights  2.4 GB\n"}})";
  const Error e = answering(507, body).call("POST", "/api/generate").error();
  EXPECT_EQ(e.code, Code::kOutOfMemory);
  EXPECT_EQ(e.message, "model needs 2.6 GB\nweights  2.4 GB");
  const char* const plan =
      R"({"error":"no","quipu":{"plan":{"memory":{"kv":{"planned":1024}},"machine":{"free":512}}}})";
  EXPECT_EQ(answering(507, plan).call("POST", "/api/generate").error().message,
            "no\n"
            "memory             planned    measured\n"
            "  kv               1.0 KiB            \n"
            "  free               512 B");
}

TEST_F(HttpApiTest, Streams) {
  streaming({"{\"a\":", "1}\n\n{\"b\":2}\n{\"done\"", ":true}"});
  EXPECT_TRUE(stream());
  EXPECT_EQ(lines_, R"({"a":1};{"b":2};{"done":true};)");
  answering(400, R"({"error":"invalid model name"})");
  EXPECT_EQ(stream().error().message, "400 Bad Request: invalid model name");
  streaming({"{\"a\":1}\n{\"error\":\"it broke\"}\n{\"a\":2}\n"});
  EXPECT_EQ(stream().error().message, "it broke");
  EXPECT_EQ(lines_, R"({"a":1};)");
  for (const char* bad : {"nonsense\n", "[1]\n", "5\n", "\xff\n"}) {
    streaming({bad});
    EXPECT_EQ(stream().error().message, "the server's answer has a line that is no JSON object") << bad;
  }
}

TEST_F(HttpApiTest, AServerThatHangsUp) {
  start([](const std::shared_ptr<Exchange>& e) {
    e->start(200, {});
    e->push("{\"a\":1}\n");
    e->abort();
  });
  const auto r = stream();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::kUnavailable);
  EXPECT_EQ(lines_, R"({"a":1};)");
}

TEST_F(HttpApiTest, CtrlCEndsACall) {
  std::vector<std::shared_ptr<Exchange>> kept;
  HttpApi& api = start([&](const std::shared_ptr<Exchange>& e) {
    kept.push_back(e);  // and no answer
    kill(getpid(), SIGINT);
  });
  EXPECT_EQ(api.call("GET", "/api/ps").error().code, Code::kCancelled);
  server_.reset();
}

TEST_F(HttpApiTest, Uploads) {
  std::string seen;
  HttpApi& api = start([&](const std::shared_ptr<Exchange>& e) {
    seen = e->request().method + " " + e->request().target + " " + e->request().body;
    e->respond({.status = 201, .body = ""});
  });
  std::string bytes = "some bytes";
  uint64_t sent = 0;
  http::Upload body{.bytes = bytes.size(),
                    .read = [&](std::span<char> into) -> Result<size_t> {
                      const size_t n = bytes.copy(into.data(), into.size());
                      bytes.erase(0, n);
                      return n;
                    },
                    .on_sent = [&](uint64_t n) { sent = n; }};
  ASSERT_TRUE(api.upload("/api/blobs/sha256:00", body, [] { return true; }));
  EXPECT_EQ(seen, "POST /api/blobs/sha256:00 some bytes");
  EXPECT_EQ(sent, 10u);
}

}  // namespace

}  // namespace quipu::cli

// Client and server with each other.
#include <atomic>
#include <vector>

#include "http/client.h"
#include "http/test_net.h"

namespace quipu::http {
namespace {

using test::Event;
using test::eventually;
using test::serve;

class Both : public testing::TestWithParam<bool> {  // over a Unix socket
 protected:
  Client start(const ServerOptions& options, Handler handler) {
    server_ = serve(GetParam() ? path_.endpoint() : test::local_tcp(), options, std::move(handler));
    return Client(server_->endpoint());
  }

  test::SocketPath path_;
  std::unique_ptr<Server> server_;
};

INSTANTIATE_TEST_SUITE_P(Over, Both, testing::Bool(),
                         [](const auto& param) { return param.param ? "Unix" : "Tcp"; });

TEST_P(Both, LargeBodiesBothWays) {
  const Client client = start({}, [](const std::shared_ptr<Exchange>& e) {
    e->respond({.headers = {{"X-Method", e->request().method}}, .body = e->request().body});
  });
  std::string body(20 << 20, 'x');
  for (size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i / 1000 % 26);
  const auto answer = client.send({.method = "PUT", .body = body});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->headers.find("x-method"), "PUT");
  EXPECT_TRUE(answer->body == body);
}

TEST_P(Both, TooLargeIsSaidAndNotJustCut) {
  const Client client =
      start({.max_body_bytes = 1000}, [](const std::shared_ptr<Exchange>& e) { e->respond({}); });
  const auto answer = client.send({.method = "POST", .body = std::string(10 << 20, 'x')});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 413);
  EXPECT_EQ(answer->body, "413 Payload Too Large: the body is too large");
}

TEST_P(Both, StreamedLines) {
  std::vector<std::jthread> writers;
  const Client client = start({.stream_queue_bytes = 100}, [&](const std::shared_ptr<Exchange>& e) {
    writers.emplace_back([e] {
      e->start(200, {{"Content-Type", "application/x-ndjson"}});
      for (int i = 0; i < 2000; ++i) e->push("line " + std::to_string(i) + "\n");
      e->finish();
    });
  });
  int n = 0;
  const auto answer =
      client.stream_lines({}, [&](std::string_view line) { return line == "line " + std::to_string(n++); });
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(n, 2000);
  EXPECT_EQ(answer->headers.find("content-type"), "application/x-ndjson");
}

TEST_P(Both, CancellingReachesTheHandler) {
  Event gone;
  std::shared_ptr<Exchange> kept;
  const Client client = start({}, [&](const std::shared_ptr<Exchange>& e) {
    e->start(200, {});
    e->push("text");
    e->on_gone([&] { gone.set(); });
    kept = e;
  });
  const auto answer =
      client.stream({}, [](std::string_view) { return true; }, {.on_idle = [] { return false; }});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCancelled);
  EXPECT_TRUE(gone.wait());
  server_.reset();
}

TEST_P(Both, AStreamThatIsCutIsAnError) {
  const Client client = start({}, [](const std::shared_ptr<Exchange>& e) {
    e->start(200, {});
    e->push("half");
    e->abort();
  });
  std::string got;
  const auto answer = client.stream({}, [&](std::string_view piece) {
    got += piece;
    return true;
  });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_EQ(got, "half");
}

TEST_P(Both, TheServerStopsInBetween) {
  const Client client = start({}, [](const std::shared_ptr<Exchange>& e) {
    e->on_gone([e] {});  // never answered
  });
  std::jthread stopper([this] {
    EXPECT_TRUE(eventually([&] { return server_->n_connections() == 1; }));
    server_->stop();
  });
  const auto answer = client.send({});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
}

TEST_P(Both, ManyClients) {
  const Client client =
      start({}, [](const std::shared_ptr<Exchange>& e) { e->respond({.body = e->request().target}); });
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 50; ++i) {
          const std::string target = fmt::format("/{}/{}", t, i);
          const auto answer = client.send({.target = target});
          if (answer && answer->body == target) ++right;
        }
      });
    }
  }
  EXPECT_EQ(right, 400);
  EXPECT_TRUE(eventually([&] { return server_->n_connections() == 0; }));
}

}  // namespace
}  // namespace quipu::http

// The server against clients that speak HTTP oddly, badly or in bad faith.
#include <sys/stat.h>

#include <stdexcept>
#include <vector>

#include "http/protocol_fixture.h"

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using test::echo;
using test::eventually;
using test::RawSocket;
using test::serve;
using test::status_of;
using Protocol = test::EchoServer;

TEST_F(Protocol, AnswersAndKeepsTheConnection) {
  start();
  RawSocket client = connect();
  client.send("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = client.read_answer();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: ")) << answer;
  EXPECT_TRUE(answer.ends_with(" GMT\r\nContent-Length: 13\r\n\r\nGET /a?b=c []")) << answer;
  client.send("POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello");
  EXPECT_TRUE(client.read_answer().ends_with("POST /p [hello]"));
  client.send("PATCH * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string last = client.read_to_end();
  EXPECT_NE(last.find("Connection: close\r\n"), last.npos);
  EXPECT_TRUE(last.ends_with("PATCH * []"));
}

TEST_F(Protocol, BytesMayComeInAnyPieces) {
  start();
  const std::string request =
      "\r\nPOST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=\"a b\"\r\nhello\r\n1\r\n!\r\n000\r\nTrailer: ignored\r\n\r\n"
      "POST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"
      "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /f HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const size_t step : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{64}, request.size()}) {
    RawSocket client = connect();
    for (size_t at = 0; at < request.size(); at += step) ASSERT_TRUE(client.send(request.substr(at, step)));
    EXPECT_TRUE(client.read_answer().ends_with("POST /c [hello!]"));
    EXPECT_TRUE(client.read_answer().ends_with("POST /d []"));
    EXPECT_TRUE(client.read_answer().ends_with("POST /e [abc]"));
    EXPECT_TRUE(client.read_answer().ends_with("GET /f []"));
  }
}

TEST_F(Protocol, FieldsBehindAChunkedBodyAreNotHeaders) {
  start({}, [](const std::shared_ptr<Exchange>& e) {
    e->respond({.body = e->request().headers.contains("X-Late") ? "late" : "clean"});
  });
  RawSocket client = connect();
  client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 1\r\n\r\n");
  EXPECT_TRUE(client.read_answer().ends_with("clean"));
}

TEST_F(Protocol, EarlyRequestsAreAnsweredInOrder) {
  std::vector<std::jthread> threads;
  start({}, [&](const std::shared_ptr<Exchange>& e) { threads.emplace_back([e] { echo(e); }); });
  RawSocket client = connect();
  std::string all;
  constexpr int kRequests = 200;
  for (int i = 0; i < kRequests; ++i) all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  client.send(all);
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_TRUE(client.read_answer().ends_with("GET /" + std::to_string(i) + " []")) << i;
  }
  server_.reset();
}

// More early requests than the server reads ahead: they wait in the sockets, and none is lost.
TEST_F(Protocol, EarlyRequestsWaitOutsideTheServer) {
  test::Event go;
  std::vector<std::jthread> threads;
  start({.max_header_bytes = 1024}, [&](const std::shared_ptr<Exchange>& e) {
    threads.emplace_back([&go, e] {
      go.wait();
      e->respond({.body = std::to_string(e->request().body.size())});
    });
  });
  RawSocket client = connect();
  const std::string body(100'000, 'x');
  std::jthread sender([&] {
    for (int i = 0; i < 20; ++i)
      client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + body);
  });
  ASSERT_TRUE(eventually([&] { return server_->n_connections() == 1; }));
  go.set();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.read_answer().ends_with("\r\n\r\n100000")) << i;
  server_.reset();
}

TEST_F(Protocol, ASenderThatClosesItsSideGetsItsAnswers) {
  start();
  RawSocket client = connect();
  client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  client.shutdown_send();
  EXPECT_TRUE(client.read_answer().ends_with("GET /1 []"));
  EXPECT_TRUE(client.read_answer().ends_with("GET /2 []"));
  EXPECT_EQ(client.read_some(), "");
}

TEST_F(Protocol, HeadHasLengthAndNoBody) {
  start();
  RawSocket client = connect();
  client.send("HEAD /h HTTP/1.1\r\nHost: x\r\n\r\nGET /g HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(client.read_until("\r\n\r\n").find("Content-Length: 10\r\n"), std::string::npos);
  EXPECT_TRUE(client.read_answer().ends_with("GET /g []"));
}

TEST_F(Protocol, OldClients) {
  start();
  const std::string answer = talk("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.0 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("GET / []"));
  RawSocket client = connect();
  client.send("GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
  EXPECT_NE(client.read_answer().find("Connection: keep-alive\r\n"), std::string::npos);
  client.send("GET /2 HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(client.read_to_end().ends_with("GET /2 []"));
}

TEST_F(Protocol, ExpectContinue) {
  start({.max_body_bytes = 100});
  RawSocket client = connect();
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  EXPECT_TRUE(client.read_answer().ends_with("[body]"));
  // Who sends the body unasked needs no invitation.
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
  EXPECT_TRUE(client.read_answer().starts_with("HTTP/1.1 200"));
  expect_refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n", 413);
  expect_refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: miracles\r\n\r\n", 417);
}

TEST_F(Protocol, MalformedRequests) {
  start();
  for (const std::string& bad : {
           std::string("hello\r\n\r\n"),
           std::string("GET\r\n\r\n"),
           std::string("GET / http/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
           std::string("GET / HTTP/1.1\nHost: x\n\n"),
           std::string("GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("G(T / HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x y\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x@y\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\n y: z\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\nA b: y\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 35),
           std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),  // TLS
       }) {
    expect_refused(bad, 400);
  }
}

// Two readers of these would disagree about where the request ends.
TEST_F(Protocol, OtherVersions) {
  start();
  for (const char* bytes : {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
                            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/3.0\r\nHost: x\r\n\r\n"})
    expect_refused(bytes, 505);
}

TEST_F(Protocol, AmbiguousLengths) {
  start();
  const std::string hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
  const auto with = [&](const std::string& lines) {
    return "POST / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n" + hidden;
  };
  for (const std::string& lines : {
           std::string("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
           std::string("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
           std::string("Content-Length: 0\r\nContent-Length: 34\r\n"),
           std::string("Content-Length: 0, 34\r\n"),
           std::string("Content-Length: -1\r\n"),
           std::string("Content-Length: +1\r\n"),
           std::string("Content-Length: 0x10\r\n"),
           std::string("Content-Length: 1 0\r\n"),
           std::string("Content-Length:\r\n"),
           std::string("Content-Length: 18446744073709551616\r\n"),
           std::string("Content-Length : 34\r\n"),
           std::string("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
           std::string("Transfer-Encoding : chunked\r\n"),
       }) {
    expect_refused(with(lines), 400);
  }
  for (const std::string& lines : {
           std::string("Transfer-Encoding: gzip, chunked\r\n"),
           std::string("Transfer-Encoding: chunked, identity\r\n"),
           std::string("Transfer-Encoding: xchunked\r\n"),
           std::string("Transfer-Encoding: identity\r\nContent-Length: 34\r\n"),
           std::string("Transfer-Encoding: \"chunked\"\r\n"),
           std::string("Transfer-Encoding:\r\n"),
       }) {
    expect_refused(with(lines), 501);
  }
  expect_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, 400);
}

TEST_F(Protocol, BadChunks) {
  start();
  for (const std::string& chunks : {
           std::string("x\r\n"),
           std::string("-1\r\n\r\n"),
           std::string("\r\n"),
           std::string("5\r\nhelloX\r\n0\r\n\r\n"),
           std::string("5\nhello\n0\n\n\r\n\r\n"),
           std::string("10000000000000000\r\n"),
           std::string("5 bad\r\nhello\r\n"),
           std::string("0\r\nContent-Length: 5\r\n\r\n"),
           std::string("0\r\nno colon\r\n\r\n"),
           "5;" + std::string(100'000, 'e'),
           "0\r\nA: " + std::string(100'000, 't'),
       }) {
    expect_refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, 400);
  }
  expect_refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413);
}

TEST_F(Protocol, HandlersThatThrowOrForget) {
  start({}, [](const std::shared_ptr<Exchange>& e) {
    const std::string& target = e->request().target;
    if (target == "/throw") throw std::runtime_error("no");
    if (target == "/odd") throw 42;
    if (target == "/answered") {
      e->respond({.body = "fine"});
      throw std::runtime_error("too late");
    }
    if (target == "/status") return e->respond({.status = 42});
    if (target == "/begun") {
      e->start(200, {});
      e->push("half");
      throw std::runtime_error("no");
    }
  });
  RawSocket client = connect();
  for (const char* target : {"/throw", "/odd", "/forget", "/status"}) {
    client.send(std::string("GET ") + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), 500) << target;
    EXPECT_NE(answer.find("\r\n\r\n500 "), answer.npos);
  }
  client.send("GET /answered HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(client.read_answer().ends_with("fine"));
  client.send("GET /begun HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(client.read_to_end().ends_with("\r\n\r\n4\r\nhalf\r\n"));
}

TEST_F(Protocol, AnAnswersHeadersCannotBreakOut) {
  start({}, [](const std::shared_ptr<Exchange>& e) {
    e->respond({.headers = {{"A", "b\r\nInjected: 1"},
                            {"Bad name", "x"},
                            {"Content-Length", "0"},
                            {"Date", "today"}},
                .body = "body"});
  });
  RawSocket client = connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.read_answer(),
            "HTTP/1.1 200 OK\r\nA: b  Injected: 1\r\nDate: today\r\nContent-Length: 4\r\n\r\nbody");
}

TEST_F(Protocol, AnswersWithoutABody) {
  start({}, [](const std::shared_ptr<Exchange>& e) {
    e->respond({.status = e->request().target == "/204" ? 204 : 304, .body = "never sent"});
  });
  RawSocket client = connect();
  client.send("GET /204 HTTP/1.1\r\nHost: x\r\n\r\nGET /304 HTTP/1.1\r\nHost: x\r\n\r\n");
  for (const int status : {204, 304}) {
    const std::string head = client.read_until("\r\n\r\n");
    EXPECT_EQ(status_of(head), status);
    EXPECT_EQ(head.find("Content-Length"), head.npos);
  }
}

TEST_F(Protocol, OverAUnixSocket) {
  const test::SocketPath path;
  const auto server = serve(path.endpoint(), {}, echo);
  ASSERT_TRUE(server);
  RawSocket client(path.endpoint());
  client.send("GET /u HTTP/1.1\r\nHost: runner\r\n\r\n");
  EXPECT_TRUE(client.read_answer().ends_with("GET /u []"));
  server->stop();
  EXPECT_EQ(client.read_some(), "");
  EXPECT_NE(::access(path.endpoint().path.c_str(), F_OK), 0);
}

TEST_F(Protocol, StopEndsWhatIsIdleOrHalfSaid) {
  start();
  RawSocket idle = connect(), half = connect();
  half.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
  ASSERT_TRUE(eventually([&] { return server_->n_connections() == 2; }));
  server_->stop(std::chrono::hours(1));
  EXPECT_EQ(server_->n_connections(), 0u);
  EXPECT_EQ(idle.read_some(), "");
  EXPECT_EQ(half.read_some(), "");
  EXPECT_FALSE(connect_to(server_->endpoint(), test::kPatience, -1));
  server_->stop();
}

}  // namespace
}  // namespace quipu::http

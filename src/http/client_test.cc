// The client against servers that answer oddly, badly or not at all.
#include "http/client.h"

#include <atomic>
#include <vector>

#include "http/test_net.h"

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using test::Event;
using test::RawSocket;

// Serves one connection after the other with a script, which gets the request as it came (without its body).
class FakeServer {
 public:
  using Script = std::function<void(RawSocket&, const std::string& request)>;
  explicit FakeServer(Script script)
      : listener_(ListenSocket::open(test::local_tcp())), thread_([this, script = std::move(script)] {
          while (wait_ready(listener_->fd(), POLLIN, milliseconds(-1), stop_[0]) == Ready::kReady) {
            Fd fd(::accept4(listener_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!fd.valid()) continue;
            RawSocket client(std::move(fd));
            script(client, client.read_until("\r\n\r\n"));
          }
        }) {}
  ~FakeServer() {
    ::close(stop_[1]);
    thread_.join();
    ::close(stop_[0]);
  }
  const Endpoint& endpoint() const { return listener_->endpoint(); }

 private:
  struct Pipe {
    Pipe() { EXPECT_EQ(::pipe(ends), 0); }
    int operator[](int i) const { return ends[i]; }
    int ends[2];
  };
  Pipe stop_;
  Result<ListenSocket> listener_;
  std::thread thread_;
};

FakeServer::Script say(std::string bytes) {
  return [bytes = std::move(bytes)](RawSocket& client, const std::string&) { client.send(bytes); };
}

Result<Response> get(const std::string& answer, const ClientOptions& options = {}) {
  const FakeServer server(say(answer));
  return Client(server.endpoint(), options).send({.target = "/x"});
}

const std::string kOk = "HTTP/1.1 200 OK\r\n";

TEST(Client, SendsWhatWasAsked) {
  std::string request;
  const FakeServer server([&](RawSocket& client, const std::string& head) {
    request = head;
    client.send(kOk + "Content-Length: 0\r\n\r\n");
  });
  const Client client(server.endpoint());
  ASSERT_TRUE(client.send(
      {.method = "POST", .target = "/a?b", .headers = {{"X-Y", "z"}, {"Connection", "keep-alive"}}}));
  EXPECT_EQ(request, "POST /a?b HTTP/1.1\r\nHost: " + server.endpoint().to_string() +
                         "\r\nX-Y: z\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(client.send({.headers = {{"host", "other"}}}));
  EXPECT_EQ(request, "GET / HTTP/1.1\r\nhost: other\r\nConnection: close\r\n\r\n");
}

TEST(Client, RefusesToSendNonsense) {
  const Client client(test::local_tcp());
  for (const Request& bad : {Request{.target = "/a b"}, Request{.target = "/\r\nX: y"}, Request{.target = ""},
                             Request{.method = "GET /"}, Request{.method = ""}}) {
    const auto answer = client.send(bad);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kInvalidArgument);
  }
}

TEST(Client, EveryWayToEndABody) {
  EXPECT_EQ(get(kOk + "Content-Length: 4\r\n\r\nbodyand more")->body, "body");
  EXPECT_EQ(get(kOk + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nT: t\r\n\r\n")->body,
            "body");
  EXPECT_EQ(get(kOk + "\r\nbody")->body, "body");
  EXPECT_EQ(get("HTTP/1.0 200 OK\r\n\r\n")->body, "");
  EXPECT_EQ(get("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n")->status, 204);
  const auto after_continue =
      get("HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 102 \r\n\r\n" + kOk + "C: d\r\n\r\nbody");
  ASSERT_TRUE(after_continue);
  EXPECT_EQ(after_continue->status, 200);
  EXPECT_EQ(after_continue->headers.size(), 1u);
  EXPECT_EQ(after_continue->body, "body");
  const auto error = get("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->status, 404);
}

TEST(Client, HeadHasNoBody) {
  const FakeServer server(say(kOk + "Content-Length: 1000\r\n\r\n"));
  const auto answer = Client(server.endpoint()).send({.method = "HEAD"});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->headers.find("content-length"), "1000");
}

TEST(Client, AnswersMayComeByteByByte) {
  const FakeServer server([](RawSocket& client, const std::string&) {
    for (const char c : kOk + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nA: b\r\n\r\n") {
      client.send(std::string_view(&c, 1));
      std::this_thread::yield();
    }
  });
  const auto answer = Client(server.endpoint()).send({});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "body");
}

TEST(Client, TruncatedAnswers) {
  const std::string chunked = kOk + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
  for (size_t n = 0; n < chunked.size(); ++n) {
    const auto answer = get(chunked.substr(0, n));
    ASSERT_FALSE(answer) << n;
    EXPECT_EQ(answer.error().code, Code::kUnavailable) << n << ": " << answer.error().message;
  }
  const auto answer = get(kOk + "Content-Length: 5\r\n\r\nbody");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_FALSE(get("HTTP/1.1 100 Continue\r\n\r\n"));
}

TEST(Client, BrokenAnswers) {
  std::string many_lines = kOk;
  for (int i = 0; i < 1000; ++i) many_lines += "A: b\r\n";
  for (const std::string& bad :
       {std::string("SSH-2.0-OpenSSH\r\n"), std::string("\x15\x03\x01", 3) + "\n\n\n\n\n\n\n\n\n\n",
        std::string("HTTP/2.0 200 OK\r\n\r\n"), std::string("HTTP/1.1 2000 OK\r\n\r\n"),
        std::string("HTTP/1.1 OK\r\n\r\n       "), std::string("HTTP/1.1 000 Zero\r\n\r\n"),
        std::string("HTTP/1.1 101 Switching Protocols\r\n\r\n"), kOk + "no colon\r\n\r\n",
        kOk + "Content-Length: x\r\n\r\n", kOk + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        kOk + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nbody",
        kOk + "Transfer-Encoding: gzip\r\n\r\nbody", kOk + "Transfer-Encoding: chunked\r\n\r\nbody\r\n",
        kOk + "Transfer-Encoding: chunked\r\n\r\n4\r\nbodyX\r\n0\r\n\r\n",
        kOk + "Transfer-Encoding: chunked\r\n\r\n4;" + std::string(5000, 'x'),
        kOk + "A: " + std::string(5000, 'x'), many_lines,
        kOk + "Content-Length: 1001\r\n\r\n" + std::string(1001, 'x'),
        kOk + "\r\n" + std::string(1001, 'x')}) {
    const auto answer = get(bad, {.max_header_bytes = 1000, .max_body_bytes = 1000});
    ASSERT_FALSE(answer) << bad.substr(0, 200);
    EXPECT_EQ(answer.error().code, Code::kIo) << bad.substr(0, 200) << answer.error().message;
  }
}

TEST(Client, InterimAnswersDoNotGoOnForEver) {
  const FakeServer server([](RawSocket& client, const std::string&) {
    while (client.send("HTTP/1.1 100 Continue\r\n\r\n")) {
    }
  });
  const auto answer = Client(server.endpoint()).send({});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kIo);
}

TEST(Client, SilenceEnds) {
  Event over;
  const FakeServer server([&](RawSocket& client, const std::string&) {
    client.send(kOk + "Content-Length: 5\r\n\r\nhal");
    over.wait();
  });
  const auto answer = Client(server.endpoint(), {.silence_timeout = milliseconds(50)}).send({});
  over.set();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_NE(answer.error().message.find("nothing came"), std::string::npos);
}

// The server takes nothing of a request that is larger than every buffer in between.
TEST(Client, AServerThatDoesNotListen) {
  Event over;
  const FakeServer server([&](RawSocket&, const std::string&) { over.wait(); });
  const Request large{.method = "POST", .body = std::string(64 << 20, 'x')};
  const auto silent = Client(server.endpoint(), {.silence_timeout = milliseconds(50)}).send(large);
  over.set();
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, Code::kUnavailable);
}

TEST(Client, AnEarlyAnswerIsHeard) {
  const FakeServer server([&](RawSocket& client, const std::string&) {
    client.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig");
    client.shutdown_send();
    client.read_to_end();
  });
  const auto answer = Client(server.endpoint()).send({.method = "POST", .body = std::string(8 << 20, 'x')});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 413);
  EXPECT_EQ(answer->body, "big");
}

TEST(Client, StreamsWhatSucceedsAndKeepsWhatFails) {
  const FakeServer server([](RawSocket& client, const std::string& request) {
    if (request.starts_with("GET /fail ")) {
      client.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nwhy");
    } else {
      client.send(kOk + "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    }
  });
  const Client client(server.endpoint(), {.max_body_bytes = 3});
  std::string pieces;
  const auto collect = [&](std::string_view piece) {
    pieces += piece;
    return true;
  };
  auto answer = client.stream({}, collect);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(pieces, "onetwo");
  EXPECT_EQ(answer->body, "");
  answer = client.stream({.target = "/fail"}, collect);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(answer->body, "why");
  EXPECT_EQ(pieces, "onetwo");
}

std::vector<std::string> lines_of(const std::vector<std::string>& chunks, Result<Response>* result,
                                  const ClientOptions& options = {}) {
  const FakeServer server([&](RawSocket& client, const std::string&) {
    client.send(kOk + "Transfer-Encoding: chunked\r\n\r\n");
    for (const std::string& chunk : chunks) client.send(fmt::format("{:x}\r\n{}\r\n", chunk.size(), chunk));
    client.send("0\r\n\r\n");
  });
  std::vector<std::string> lines;
  *result = Client(server.endpoint(), options).stream_lines({}, [&](std::string_view line) {
    lines.emplace_back(line);
    return line != "stop";
  });
  return lines;
}

TEST(Client, Lines) {
  Result<Response> result = error(Code::kInternal, "");
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines_of({"a\nb", "c\n\n", "\n", "d\r\ne", "f", "\n", "last"}, &result),
            (Lines{"a", "bc", "d", "ef", "last"}));
  EXPECT_TRUE(result);
  EXPECT_EQ(lines_of({"a\nstop\nb\n"}, &result), (Lines{"a", "stop"}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCancelled);
  EXPECT_EQ(lines_of({"stop"}, &result), (Lines{"stop"}));
  EXPECT_FALSE(result);
  for (const Lines& chunks : {Lines{"1234567890\n", "12345", "678901\n"}, Lines{"1234567890\n12345678901"}}) {
    EXPECT_EQ(lines_of(chunks, &result, {.max_line_bytes = 10}), (Lines{"1234567890"}));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kIo);
  }
}

// Each way to end a request closes its connection, which is what the server hears of it.
TEST(Client, Cancelling) {
  Event asked;
  std::atomic<int> left = 0;
  const FakeServer server([&](RawSocket& client, const std::string& request) {
    if (request.starts_with("GET /begun "))
      client.send(kOk + "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    if (request.starts_with("GET /third ")) asked.set();
    EXPECT_EQ(client.read_to_end(), "");
    ++left;
  });
  const Client client(server.endpoint(), {.silence_timeout = milliseconds(-1)});
  const auto never = [](std::string_view) -> bool {
    ADD_FAILURE() << "nothing was sent";
    return true;
  };
  int ticks = 0;
  auto answer = client.stream({}, never, {.on_idle = [&] { return ++ticks < 3; }});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCancelled);
  EXPECT_EQ(ticks, 3);

  answer = client.stream({.target = "/begun"}, [](std::string_view) { return false; });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCancelled);

  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  std::thread canceller([&] {
    EXPECT_TRUE(asked.wait());
    EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  });
  answer = client.stream({.target = "/third"}, never, {.cancel = pipe[0], .on_idle = {}});
  canceller.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCancelled);
  ::close(pipe[0]);
  ::close(pipe[1]);
  EXPECT_TRUE(test::eventually([&] { return left == 3; }));
}

// Bytes that lead nowhere do not keep the idle callback from being called.
TEST(Client, ATrickleIsNoReasonNotToAsk) {
  const FakeServer server([](RawSocket& client, const std::string&) {
    client.send(kOk + "A: ");
    while (client.send("x")) std::this_thread::sleep_for(milliseconds(1));
  });
  const auto answer = Client(server.endpoint()).send({}, {.on_idle = [] { return false; }});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCancelled);
}

TEST(Client, NobodyThere) {
  Endpoint nowhere;
  {
    const auto listener = ListenSocket::open(test::local_tcp());
    nowhere = listener->endpoint();
  }
  const auto answer = Client(nowhere).send({});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace quipu::http

// Requests whose bodies are not kept: sinks that are slow, that want no more, that throw; answers without a
// body.
#include <atomic>
#include <stdexcept>
#include <vector>

#include "http/protocol_fixture.h"

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using test::Event;
using test::eventually;
using test::RawSocket;
using test::status_of;

const std::string kHead = "POST /sink HTTP/1.1\r\nHost: x\r\n";

std::string with_length(size_t length) {
  return kHead + "Content-Length: " + std::to_string(length) + "\r\n";
}

// What a test's sinks are told to do, and what came of it.
struct Plan {
  std::function<bool(std::string_view piece)> on_write = [](std::string_view) { return true; };
  std::mutex mutex;
  std::string body;              // of all sinks, as it came
  size_t largest = 0;            // piece
  std::atomic<int> sinks = 0;    // alive
  std::atomic<int> handled = 0;  // requests that reached the handler
  std::atomic<int> overlapping = 0;
};

class TestSink : public BodySink {
 public:
  explicit TestSink(Plan& plan) : plan_(plan) { ++plan_.sinks; }
  ~TestSink() override { --plan_.sinks; }
  bool write(std::string_view piece) override {
    if (busy_.exchange(true)) ++plan_.overlapping;
    {
      std::lock_guard lock(plan_.mutex);
      plan_.body += piece;
      plan_.largest = std::max(plan_.largest, piece.size());
    }
    bytes += piece.size();
    if (!plan_.on_write(piece)) wanted = false;
    busy_ = false;
    return wanted;
  }
  size_t bytes = 0;
  bool wanted = true;

 private:
  Plan& plan_;
  std::atomic<bool> busy_ = false;
};

// Bodies for /sink go to a TestSink; the handler says how much it got. Everything else is echoed.
class Uploads : public test::EchoServer {
 protected:
  void start(ServerOptions options = {}) {
    if (!options.admit) options.admit = [this](const Request& head) { return admit(head); };
    test::EchoServer::start(options, [this](const std::shared_ptr<Exchange>& e) {
      const auto sink = std::static_pointer_cast<TestSink>(e->sink());
      if (!sink) return test::echo(e);
      ++plan_.handled;
      EXPECT_EQ(e->request().body, "");
      e->respond({.status = sink->wanted ? 201 : 507, .body = std::to_string(sink->bytes)});
    });
  }
  Admission admit(const Request& head) {
    EXPECT_EQ(head.body, "");
    if (head.target == "/sink") return {.sink = std::make_shared<TestSink>(plan_)};
    if (head.target == "/there") return {.answer = Response{.status = 200, .body = "there"}};
    if (head.target == "/small") return {.max_body_bytes = 10};
    if (head.target == "/large") return {.max_body_bytes = 10'000};
    if (head.target == "/throw") throw std::runtime_error("no");
    return {};
  }
  void TearDown() override {
    server_.reset();
    EXPECT_EQ(plan_.sinks, 0);
    EXPECT_EQ(plan_.overlapping, 0);
  }
  std::string body() {
    std::lock_guard lock(plan_.mutex);
    return plan_.body;
  }

  Plan plan_;
};

std::string pattern(size_t bytes) {
  std::string out(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>(i * 131 + (i >> 8) * 7 + (i >> 16));
  return out;
}

std::string chunked(std::string_view body, size_t step) {
  std::string out;
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size()))) {
    const std::string_view piece = body.substr(0, step);
    out += fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
  }
  return out + "0\r\n\r\n";
}

TEST_F(Uploads, ASinkGetsTheBodyHoweverItComes) {
  start();
  RawSocket client = connect();
  const std::string chunks = kHead + "Transfer-Encoding: chunked\r\n\r\n" + chunked("hello world", 3);
  std::string expected;
  for (const size_t step : {size_t{1}, size_t{2}, size_t{7}, size_t{1000}}) {
    for (const std::string& request : {with_length(11) + "\r\nhello world", chunks}) {
      for (size_t at = 0; at < request.size(); at += step) ASSERT_TRUE(client.send(request.substr(at, step)));
      const std::string answer = client.read_answer();
      EXPECT_EQ(status_of(answer), 201);
      EXPECT_TRUE(answer.ends_with("\r\n\r\n11")) << answer;
      expected += "hello world";
      EXPECT_EQ(body(), expected);
    }
  }
  // Between them other requests are as usual, and so are those without a body.
  client.send("POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" + with_length(0) + "\r\n" + kHead +
              "\r\n" + with_length(1) + "\r\n!GET /g HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(client.read_answer().ends_with("POST /e [hi]"));
  EXPECT_TRUE(client.read_answer().ends_with("\r\n\r\n0"));
  EXPECT_TRUE(client.read_answer().ends_with("\r\n\r\n0"));
  EXPECT_TRUE(client.read_answer().ends_with("\r\n\r\n1"));
  EXPECT_TRUE(client.read_answer().ends_with("GET /g []"));
}

TEST_F(Uploads, LargeBodiesArriveWhole) {
  start({.max_body_bytes = 100 << 20});
  const std::string sent = pattern((24 << 20) + 12'345);
  for (const std::string& request : {with_length(sent.size()) + "\r\n" + sent,
                                     kHead + "Transfer-Encoding: chunked\r\n\r\n" + chunked(sent, 70'001)}) {
    plan_.body.clear();
    RawSocket client = connect();
    ASSERT_TRUE(client.send(request));
    EXPECT_TRUE(client.read_answer().ends_with("\r\n\r\n" + std::to_string(sent.size())));
    EXPECT_EQ(body(), sent);
  }
}

// A sink that stands still holds up its own client alone, and is not given more and more to hold.
TEST_F(Uploads, ASlowSinkStopsItsClient) {
  Event blocked, go;
  plan_.on_write = [&](std::string_view) {
    blocked.set();
    return go.wait();
  };
  start({.max_body_bytes = 100 << 20, .body_timeout = milliseconds(1000)});
  const std::string sent = pattern(32 << 20);
  RawSocket client = connect();
  std::atomic<size_t> taken = 0;
  std::jthread sender([&, fd = ::dup(client.fd())] {
    RawSocket same{Fd(fd)};
    same.send(with_length(sent.size()) + "\r\n");
    for (size_t at = 0; at < sent.size(); at += 65536) {
      if (!same.send(std::string_view(sent).substr(at, 65536))) return;
      taken = at;
    }
  });
  ASSERT_TRUE(blocked.wait());
  // Until nothing goes any more, and then for longer than a client may be silent: this one is not at fault.
  size_t before = 1;
  while (std::exchange(before, taken.load()) != taken) std::this_thread::sleep_for(milliseconds(1200));
  EXPECT_LT(taken, size_t{16} << 20);  // what the system's own buffers hold comes on top of ours
  EXPECT_TRUE(talk("GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ends_with("GET /other []"));
  go.set();
  EXPECT_TRUE(client.read_answer().ends_with("\r\n\r\n" + std::to_string(sent.size())));
  EXPECT_EQ(body(), sent);
  EXPECT_LE(plan_.largest, size_t{1} << 20);
}

TEST_F(Uploads, SeveralAtOnce) {
  start({.max_body_bytes = 100 << 20});
  std::vector<std::jthread> clients;
  for (int c = 0; c < 10; ++c) {
    clients.emplace_back([&, c] {
      const std::string sent = pattern((1 << 20) + 1000 * static_cast<size_t>(c));
      RawSocket client = connect();
      for (int i = 0; i < 3; ++i) {
        client.send(with_length(sent.size()) + "\r\n" + sent);
        EXPECT_TRUE(client.read_answer().ends_with("\r\n\r\n" + std::to_string(sent.size())));
      }
    });
  }
  clients.clear();
  EXPECT_EQ(plan_.handled, 30);
}

TEST_F(Uploads, CutUploadsNeverReachTheHandler) {
  start();
  for (const bool hard : {false, true}) {
    plan_.body.clear();
    RawSocket client = connect();
    client.send(with_length(100) + "\r\nhalf");
    ASSERT_TRUE(eventually([&] { return body() == "half"; }));
    EXPECT_EQ(plan_.sinks, 1);
    hard ? client.reset() : client.close();
    EXPECT_TRUE(eventually([&] { return plan_.sinks == 0; }));
  }
  RawSocket client = connect();
  client.send(kHead + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  ASSERT_TRUE(eventually([&] { return body().ends_with("hello"); }));
  client.shutdown_send();
  EXPECT_TRUE(eventually([&] { return plan_.sinks == 0; }));
  EXPECT_EQ(plan_.handled, 0);
}

TEST_F(Uploads, TheClientGoesWhileTheSinkIsBusy) {
  Event blocked, go;
  plan_.on_write = [&](std::string_view) {
    blocked.set();
    return go.wait();
  };
  start();
  RawSocket client = connect();
  client.send(with_length(100) + "\r\nhalf");
  ASSERT_TRUE(blocked.wait());
  client.reset();
  EXPECT_TRUE(eventually([&] { return server_->n_connections() == 0; }));
  EXPECT_EQ(plan_.sinks, 1);  // it is being used
  go.set();
  EXPECT_TRUE(eventually([&] { return plan_.sinks == 0; }));
  EXPECT_EQ(plan_.handled, 0);
}

TEST_F(Uploads, StoppingWaitsForTheSinks) {
  Event blocked, go;
  plan_.on_write = [&](std::string_view) {
    blocked.set();
    return go.wait();
  };
  start();
  RawSocket client = connect(), second = connect();
  client.send(with_length(100) + "\r\nhalf");
  second.send(with_length(4) + "\r\nfull");  // waits for the handler only
  ASSERT_TRUE(blocked.wait());
  std::jthread later([&] {
    std::this_thread::sleep_for(milliseconds(20));
    go.set();
  });
  server_->stop(std::chrono::hours(1));
  EXPECT_EQ(plan_.sinks, 0);
  EXPECT_EQ(client.read_some(), "");
}

TEST_F(Uploads, Limits) {
  start({.max_body_bytes = 1000});
  expect_refused(with_length(1001) + "\r\n", 413);
  expect_refused(with_length(1001) + "Expect: 100-continue\r\n\r\n", 413);
  expect_refused(kHead + "Transfer-Encoding: chunked\r\n\r\n" + chunked(std::string(1001, 'x'), 100), 413);
  expect_refused(kHead + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", 400);
  expect_refused("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world", 413);
  expect_refused("POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413);
  RawSocket client = connect();
  client.send("POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + std::string(2000, 'x'));
  EXPECT_EQ(status_of(client.read_answer()), 200);
  client.send("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello worl");
  EXPECT_EQ(status_of(client.read_answer()), 200);
  EXPECT_TRUE(eventually([&] { return plan_.sinks == 0; }));
  EXPECT_EQ(plan_.handled, 0);
}

TEST_F(Uploads, ABodyThatDoesNotComeInTime) {
  start({.body_timeout = milliseconds(50)});
  expect_refused(with_length(5) + "\r\nhell", 408);
  expect_refused(with_length(5) + "\r\n", 408);
  EXPECT_TRUE(eventually([&] { return plan_.sinks == 0; }));
  EXPECT_EQ(plan_.handled, 0);
}

TEST_F(Uploads, ExpectContinue) {
  start();
  RawSocket client = connect();
  client.send(with_length(4) + "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  EXPECT_TRUE(client.read_answer().ends_with("\r\n\r\n4"));
  // An answer instead of the invitation: whether the body comes all the same cannot be known.
  client.send("POST /there HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  const std::string answer = client.read_to_end();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_NE(answer.find("Connection: close\r\n"), answer.npos);
  EXPECT_TRUE(answer.ends_with("there"));
}

TEST_F(Uploads, AnswersWithoutReadingTheBody) {
  start();
  const std::string there = "POST /there HTTP/1.1\r\nHost: x\r\n";
  RawSocket client = connect();
  // What is short is thrown away, before or after the answer, and the connection stays.
  client.send(there + "Content-Length: 5\r\n\r\n");
  EXPECT_TRUE(client.read_answer().ends_with("there"));
  client.send("hello");
  client.send(there + "Content-Length: 100000\r\n\r\n" + std::string(100'000, 'x') + there + "\r\n" + there +
              "Content-Length: 0\r\n\r\nGET /g HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client.read_answer().ends_with("there"));
  EXPECT_TRUE(client.read_answer().ends_with("GET /g []"));
  // What is long, or of unknown length, is not waited for.
  for (const char* length : {"Content-Length: 100000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"}) {
    const std::string answer = talk(there + length);
    EXPECT_NE(answer.find("Connection: close\r\n"), answer.npos);
    EXPECT_TRUE(answer.ends_with("there"));
  }
  // The answer arrives although the client sends on.
  RawSocket sender = connect();
  sender.send(there + "Content-Length: 8000000\r\n\r\n" + std::string(8'000'000, 'x'));
  EXPECT_TRUE(sender.read_to_end().ends_with("there"));
}

TEST_F(Uploads, TheRestOfAShortBodyHasToComeInTime) {
  start({.body_timeout = milliseconds(50)});
  const std::string answer = talk("POST /there HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell");
  EXPECT_TRUE(answer.ends_with("there")) << answer;  // and no second answer
  EXPECT_EQ(answer.find("HTTP/1.1", 1), answer.npos);
}

TEST_F(Uploads, ASinkThatWantsNoMore) {
  plan_.on_write = [](std::string_view piece) { return piece.find('!') == piece.npos; };
  start({.max_body_bytes = 100 << 20});
  RawSocket client = connect();
  client.send(with_length(10) + "\r\nhello!");
  std::string answer = client.read_answer();
  EXPECT_EQ(status_of(answer), 507);
  EXPECT_EQ(answer.find("Connection: close\r\n"), answer.npos);
  client.send("more" + with_length(2) + "\r\nok");
  EXPECT_EQ(status_of(client.read_answer()), 201);
  client.send(with_length(1) + "\r\n!");  // refused with the last byte
  EXPECT_EQ(status_of(client.read_answer()), 507);
  client.send(with_length(32 << 20) + "\r\n!");
  client.send(std::string(8 << 20, 'x'));
  answer = client.read_to_end();
  EXPECT_EQ(status_of(answer), 507);
  EXPECT_NE(answer.find("Connection: close\r\n"), answer.npos);
  EXPECT_EQ(plan_.handled, 4);
}

TEST_F(Uploads, WhatThrows) {
  plan_.on_write = [](std::string_view) -> bool { throw std::runtime_error("no"); };
  start();
  expect_refused(with_length(10) + "\r\nhello", 500);
  expect_refused(with_length(5) + "\r\nhello", 500);
  expect_refused("GET /throw HTTP/1.1\r\nHost: x\r\n\r\n", 500);
  EXPECT_EQ(plan_.handled, 0);
}

}  // namespace
}  // namespace quipu::http

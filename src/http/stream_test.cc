// Answers that come piece by piece from other threads, and clients that do not wait for their end.
#include <cstring>
#include <random>
#include <vector>

#include "http/stream_fixture.h"

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using test::dechunk;
using test::Event;
using test::eventually;
using test::kGet;
using test::RawSocket;
using test::serve;
using Stream = test::StreamServer;

INSTANTIATE_TEST_SUITE_P(Over, Stream, testing::Bool(),
                         [](const auto& param) { return param.param ? "Unix" : "Tcp"; });

TEST_P(Stream, PiecesArriveAsTheyCome) {
  start();
  RawSocket client = request();
  const auto e = next();
  ASSERT_TRUE(e->start(200, {{"Content-Type", "application/x-ndjson"}}));
  const std::string head = client.read_until("\r\n\r\n");  // before there is anything to say
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), head.npos);
  EXPECT_EQ(head.find("Content-Length"), head.npos);
  for (const char* piece : {"one", "two", "three"}) {
    ASSERT_TRUE(e->push(piece));
    EXPECT_EQ(client.read_until(std::string(piece) + "\r\n"),
              std::to_string(std::strlen(piece)) + "\r\n" + piece + "\r\n");
  }
  EXPECT_TRUE(e->push(""));
  EXPECT_FALSE(e->start(200, {}));
  e->finish();
  EXPECT_FALSE(e->push("late"));
  EXPECT_EQ(client.read_until("0\r\n\r\n"), "0\r\n\r\n");
  client.send(kGet);
  next()->respond({.body = "and the connection lives on"});
  EXPECT_TRUE(client.read_answer().ends_with("lives on"));
}

TEST_P(Stream, NothingIsLostOrMixedUp) {
  start({.stream_queue_bytes = 10'000});
  RawSocket client = request();
  std::string sent;
  std::jthread writer([&, e = next()] {
    std::mt19937 random(1);
    EXPECT_TRUE(e->start(200, {}));
    for (int i = 0; i < 3000; ++i) {
      const std::string piece(random() % 2000, static_cast<char>('a' + random() % 26));
      sent += piece;
      if (!e->push(piece)) return ADD_FAILURE() << "gone";
    }
    e->finish();
  });
  std::string answer;
  while (!answer.ends_with("\r\n0\r\n\r\n")) {
    const std::string more = client.read_some(1500);
    ASSERT_FALSE(more.empty());
    answer += more;
  }
  writer.join();
  bool ended = false;
  EXPECT_EQ(dechunk(answer, &ended), sent);
  EXPECT_TRUE(ended);
}

TEST_P(Stream, ASlowReaderHoldsUpTheWriterAndNothingElse) {
  start({.stream_queue_bytes = 50'000});
  RawSocket slow = request();
  const auto e = next();
  ASSERT_TRUE(e->start(200, {}));
  const std::string piece(10'000, 'x');
  size_t taken = 0;
  // Until what the system's own buffers hold is full as well: two refusals with time to write in between.
  for (int full = 0; full < 50;) {
    const auto pushed = e->try_push(piece);
    ASSERT_NE(pushed, Exchange::Push::kGone);
    if (pushed == Exchange::Push::kTaken) {
      taken += piece.size();
      full = 0;
    } else {
      ++full;
      std::this_thread::sleep_for(milliseconds(4));
    }
  }
  Event written;
  std::jthread writer([&] {
    EXPECT_TRUE(e->push(piece));
    written.set();
    e->finish();
  });
  RawSocket other = request();
  next()->respond({.body = "meanwhile"});
  EXPECT_TRUE(other.read_answer().ends_with("meanwhile"));
  EXPECT_FALSE(written.happened());

  std::string answer;
  while (!answer.ends_with("\r\n0\r\n\r\n")) {
    const std::string more = slow.read_some();
    ASSERT_FALSE(more.empty());
    answer += more;
  }
  bool ended = false;
  EXPECT_EQ(dechunk(answer, &ended).size(), taken + piece.size());
  EXPECT_TRUE(ended);
}

TEST_P(Stream, AClientThatTakesNothingCountsAsGone) {
  start({.stream_queue_bytes = 1000, .write_timeout = milliseconds(50)});
  RawSocket client = request();
  const auto e = next();
  ASSERT_TRUE(e->start(200, {}));
  const std::string piece(100'000, 'x');
  while (e->push(piece)) {
  }
  EXPECT_TRUE(e->gone());
  EXPECT_TRUE(eventually([&] { return server_->n_connections() == 0; }));
}

TEST_P(Stream, OldClientsGetItWithoutChunks) {
  start();
  RawSocket client = request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  auto e = next();
  ASSERT_TRUE(e->start(200, {}));
  ASSERT_TRUE(e->push("one "));
  ASSERT_TRUE(e->push("two"));
  e->finish();
  const std::string answer = client.read_to_end();
  EXPECT_TRUE(answer.ends_with("Connection: close\r\n\r\none two")) << answer;
  EXPECT_FALSE(client.closed_hard());

  RawSocket second = request("GET / HTTP/1.0\r\n\r\n");
  e = next();
  ASSERT_TRUE(e->start(200, {}));
  ASSERT_TRUE(e->push("one"));
  second.read_until("one");
  e->abort();
  EXPECT_EQ(second.read_some(), "");
  EXPECT_TRUE(second.closed_hard() || GetParam());  // Unix sockets know no such end
}

TEST_P(Stream, HeadOfAStream) {
  start({.stream_queue_bytes = 1000});
  RawSocket client = request("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto e = next();
  ASSERT_TRUE(e->start(200, {}));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(e->push(std::string(500, 'x')));
  e->finish();
  EXPECT_NE(client.read_until("\r\n\r\n").find("Transfer-Encoding: chunked"), std::string::npos);
  client.send(kGet);
  next()->respond({.body = "next"});
  EXPECT_TRUE(client.read_answer().starts_with("HTTP/1.1 200"));
}

TEST_P(Stream, ManyAtOnce) {
  start({.stream_queue_bytes = 2000});
  constexpr int kClients = 40;
  std::vector<RawSocket> clients;
  std::vector<std::jthread> writers;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(request("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  for (int i = 0; i < kClients; ++i) {
    writers.emplace_back([e = next()] {
      e->start(200, {});  // every second client leaves, at any time
      const std::string id = e->request().target + "\n";
      for (int n = 0; n < 200; ++n) {
        if (!e->push(id)) return;
      }
      e->finish();
    });
  }
  for (int i = 0; i < kClients; i += 2) clients[i].close();
  for (int i = 1; i < kClients; i += 2) {
    std::string expected;
    for (int n = 0; n < 200; ++n) expected += "/" + std::to_string(i) + "\n";
    bool ended = false;
    EXPECT_EQ(dechunk(clients[i].read_until("\r\n0\r\n\r\n"), &ended), expected);
  }
}

TEST(StreamFromHandler, NeverWaits) {
  Exchange::Push last = Exchange::Push::kTaken;
  const auto server =
      serve(test::local_tcp(), {.stream_queue_bytes = 1000}, [&](const std::shared_ptr<Exchange>& e) {
        e->start(200, {});
        const std::string piece(600, 'x');
        EXPECT_TRUE(e->push(piece));
        EXPECT_TRUE(e->push(piece));
        EXPECT_FALSE(e->push(piece));
        last = e->try_push(piece);
        e->finish();
      });
  RawSocket client(server->endpoint());
  client.send(kGet);
  bool ended = false;
  EXPECT_EQ(dechunk(client.read_until("0\r\n\r\n"), &ended).size(), 1200u);
  EXPECT_TRUE(ended);
  EXPECT_EQ(last, Exchange::Push::kFull);
}

}  // namespace
}  // namespace quipu::http

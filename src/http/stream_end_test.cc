// How streamed answers end: a client that leaves, a server that stops, an exchange nobody wants any more.
#include <cstring>
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
using StreamEnd = test::StreamServer;

INSTANTIATE_TEST_SUITE_P(Over, StreamEnd, testing::Bool(),
                         [](const auto& param) { return param.param ? "Unix" : "Tcp"; });

TEST_P(StreamEnd, LeavingIsNoticedWithNothingToSend) {
  start();
  enum class How { kClose, kReset, kHalf };
  for (const How how : {How::kClose, How::kReset, How::kHalf}) {
    for (const bool started : {false, true}) {
      RawSocket client = request();
      const auto e = next();
      Event gone;
      e->on_gone([&] { gone.set(); });
      if (started) {
        ASSERT_TRUE(e->start(200, {}));
      }
      EXPECT_FALSE(e->gone());
      if (how == How::kClose) client.close();
      if (how == How::kReset) client.reset();
      if (how == How::kHalf) client.shutdown_send();
      ASSERT_TRUE(gone.wait());
      EXPECT_TRUE(e->gone());
      EXPECT_FALSE(e->push("x"));
      e->respond({.body = "too late"});
      e->finish();
      Event again;
      e->on_gone([&] { again.set(); });
      EXPECT_EQ(again.happened(), !started);  // a stream that was finished needs no telling
    }
  }
  EXPECT_TRUE(eventually([&] { return server_->n_connections() == 0; }));
}

// The end of the connection lies behind bytes that the server does not want to read yet.
TEST_P(StreamEnd, LeavingIsNoticedBehindEarlyRequests) {
  start({.max_header_bytes = 1000});
  std::string early(kGet);
  while (early.size() < 150'000) early += kGet;
  RawSocket client = request(early);
  const auto e = next();
  Event gone;
  e->on_gone([&] { gone.set(); });
  client.close();
  EXPECT_TRUE(gone.wait());
}

TEST_P(StreamEnd, AWaitingPushIsToldThatTheClientHasLeft) {
  start({.stream_queue_bytes = 1000});
  RawSocket client = request();
  Event ended;
  std::jthread writer([&, e = next()] {
    EXPECT_TRUE(e->start(200, {}));
    const std::string piece(50'000, 'x');
    while (e->push(piece)) {
    }
    EXPECT_TRUE(e->gone());
    ended.set();
  });
  client.read_until("\r\n\r\n");
  client.close();
  EXPECT_TRUE(ended.wait());
}

TEST_P(StreamEnd, CutAnswersAreNotWhole) {
  start();
  for (const bool dropped : {false, true}) {
    RawSocket client = request();
    auto e = next();
    ASSERT_TRUE(e->start(200, {}));
    ASSERT_TRUE(e->push("half"));
    if (dropped) {
      e.reset();
    } else {
      e->abort();
      EXPECT_FALSE(e->push("more"));
    }
    bool ended = true;
    EXPECT_EQ(dechunk(client.read_to_end(), &ended), "half");
    EXPECT_FALSE(ended);
  }
  RawSocket client = request();
  next()->abort();
  EXPECT_EQ(client.read_to_end(), "");
}

TEST_P(StreamEnd, StopLetsAnswersFinish) {
  start();
  RawSocket streaming = request(), whole = request();
  auto a = next(), b = next();
  if (a->start(200, {})) a->push("begun ");
  Event stopped;
  std::jthread stopper([&] {
    server_->stop(std::chrono::hours(1));
    stopped.set();
  });
  ASSERT_TRUE(eventually([&] { return !connect_to(server_->endpoint(), test::kPatience, -1); }));
  EXPECT_FALSE(stopped.happened());
  EXPECT_FALSE(a->gone());
  ASSERT_TRUE(a->push("and finished"));
  a->finish();
  b->respond({.body = "b"});
  // Whichever of the two came first.
  std::string both = streaming.read_to_end() + whole.read_to_end();
  EXPECT_NE(both.find("begun "), both.npos);
  EXPECT_NE(both.find("0\r\n\r\n"), both.npos);
  EXPECT_NE(both.find("Connection: close\r\n"), both.npos);
  EXPECT_NE(both.find("\r\n\r\nb"), both.npos);
  streaming.close();
  whole.close();
  EXPECT_TRUE(stopped.wait());
}

TEST_P(StreamEnd, StopCutsWhatDoesNotEnd) {
  start({.stream_queue_bytes = 1000});
  RawSocket full = request();
  Event pushed_out, told;
  std::jthread writer([&, e = next()] {
    EXPECT_TRUE(e->start(200, {}));
    const std::string piece(50'000, 'x');
    while (e->push(piece)) {
    }
    pushed_out.set();
  });
  RawSocket silent = request();
  const auto e = next();
  e->on_gone([&, e] { told.set(); });
  server_->stop(milliseconds(20));
  EXPECT_TRUE(told.happened());
  EXPECT_TRUE(pushed_out.wait());
  EXPECT_TRUE(e->gone());
  EXPECT_EQ(silent.read_to_end(), "");
  bool ended = true;
  dechunk(full.read_to_end(), &ended);
  EXPECT_FALSE(ended);
}

TEST_P(StreamEnd, AnExchangeOutlivesTheServer) {
  start();
  RawSocket one = request(), two = request(), three = request();
  const auto a = next(), b = next();
  auto c = next();
  ASSERT_TRUE(b->start(200, {}));
  ASSERT_TRUE(b->push("x"));
  server_.reset();
  EXPECT_TRUE(a->gone());
  a->respond({.body = "x"});
  EXPECT_FALSE(b->push("y"));
  EXPECT_EQ(b->try_push("y"), Exchange::Push::kGone);
  b->finish();
  Event told;
  c->on_gone([&] { told.set(); });
  EXPECT_TRUE(told.happened());
  EXPECT_FALSE(c->start(200, {}));
  c.reset();
}

// What is usual: the handler that is told of the end holds the exchange itself.
TEST_P(StreamEnd, AnEndedExchangeHoldsNothing) {
  start();
  std::weak_ptr<Exchange> left[2];
  {
    RawSocket client = request();
    auto e = next();
    e->on_gone([e] {});
    left[0] = e;
    e->respond({.body = "x"});
    client.read_answer();
  }
  {
    RawSocket client = request();
    auto e = next();
    e->on_gone([e] {});
    left[1] = e;
  }
  EXPECT_TRUE(eventually([&] { return left[0].expired() && left[1].expired(); }));
}

// A handler may do everything at once, on the server's own thread; there it must not wait.

}  // namespace
}  // namespace quipu::http

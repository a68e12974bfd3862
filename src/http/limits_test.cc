// What a server takes at most: bytes, time, connections.
#include <sys/resource.h>

#include <vector>

#include "http/protocol_fixture.h"

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using test::eventually;
using test::RawSocket;
using test::status_of;
using Limits = test::EchoServer;

TEST_F(Limits, LargeHeaders) {
  start({.max_header_bytes = 2000});
  const std::string start_line = "GET / HTTP/1.1\r\nHost: x\r\n";
  expect_refused("GET /" + std::string(2000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 431);
  expect_refused("GET /" + std::string(100'000, 'a'), 431);
  expect_refused(start_line + "A: " + std::string(2000, 'a') + "\r\n\r\n", 431);
  std::string many = start_line;
  for (int i = 0; i < 500; ++i) many += "A: b\r\n";
  expect_refused(many, 431);
  // Each line in a piece of its own.
  RawSocket client = connect();
  client.send(start_line);
  for (int i = 0; i < 500; ++i) client.send("A: b\r\n");
  EXPECT_EQ(status_of(client.read_to_end()), 431);

  RawSocket good = connect();
  good.send(start_line + "A: " + std::string(1900, 'a') + "\r\n\r\n");
  EXPECT_EQ(status_of(good.read_answer()), 200);
}

TEST_F(Limits, TheHeadersLimitIsExactAndTheSameInPieces) {
  start({.max_header_bytes = 200});
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nB: ";
  for (const size_t size : {size_t{200}, size_t{201}}) {
    const std::string request = head + std::string(size - head.size() - 4, 'x') + "\r\n\r\n";
    for (const size_t step : {size_t{1}, size_t{50}, size}) {
      RawSocket client = connect();
      for (size_t at = 0; at < size; at += step) client.send(request.substr(at, step));
      EXPECT_EQ(status_of(client.read_until("\r\n\r\n")), size == 200 ? 200 : 431) << size << " by " << step;
    }
  }
}

TEST_F(Limits, LargeBodies) {
  start({.max_body_bytes = 1000});
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  expect_refused(head + "Content-Length: 1001\r\n\r\n" + std::string(1001, 'b'), 413);
  expect_refused(head + "Content-Length: 18446744073709551615\r\n\r\n", 413);
  std::string chunks;
  for (int i = 0; i < 11; ++i) chunks += "64\r\n" + std::string(100, 'b') + "\r\n";
  expect_refused(head + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n", 413);
  // The answer arrives although the client sends on for megabytes.
  RawSocket client = connect();
  client.send(head + "Content-Length: 4000000\r\n\r\n" + std::string(4'000'000, 'b'));
  EXPECT_EQ(status_of(client.read_to_end()), 413);

  RawSocket good = connect();
  good.send(head + "Content-Length: 1000\r\n\r\n" + std::string(1000, 'b'));
  EXPECT_EQ(status_of(good.read_answer()), 200);
}

TEST_F(Limits, WhatAllRequestsTogetherMayHold) {
  std::mutex mutex;
  std::vector<std::shared_ptr<Exchange>> held;
  start({.max_held_bytes = 1'000'000}, [&](const std::shared_ptr<Exchange>& e) {
    if (e->request().target != "/hold") return e->respond({});
    const std::lock_guard lock(mutex);
    held.push_back(e);
  });
  const auto post = [](const std::string& target, size_t bytes) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", target, bytes,
                       std::string(bytes, 'b'));
  };
  const auto status = [&](const std::string& request) {
    RawSocket client = connect();
    client.send(request);
    return status_of(client.read_answer());
  };
  EXPECT_EQ(status(post("/x", 900'000)), 200);
  // Two that wait for their answers.
  RawSocket first = connect(), second = connect();
  first.send(post("/hold", 500'000));
  second.send(post("/hold", 480'000));
  const auto both_there = [&] {
    const std::lock_guard lock(mutex);
    return held.size() == 2;
  };
  ASSERT_TRUE(eventually(both_there));
  // A third, its length said before or not, is too much. Small ones are taken all the same.
  expect_refused(post("/x", 300'000), 503);
  expect_refused("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" +
                     std::string(300'000, 'b') + "\r\n0\r\n\r\n",
                 503);
  EXPECT_EQ(status(post("/x", 60'000)), 200);
  // An answer gives the memory back once nobody holds the request any more, and so does a client that leaves.
  std::jthread([&] {
    for (auto& e : held) std::exchange(e, nullptr)->respond({});
  }).join();
  EXPECT_EQ(status_of(first.read_answer()), 200);
  EXPECT_EQ(status_of(second.read_answer()), 200);
  {
    RawSocket leaves = connect();
    leaves.send(post("/x", 900'000).substr(0, 800'000));
  }
  EXPECT_TRUE(eventually([&] { return status(post("/x", 900'000)) == 200; }));
}

TEST_F(Limits, SlowHeaderAndSlowBody) {
  start({.header_timeout = milliseconds(50), .body_timeout = milliseconds(50)});
  expect_refused("GET / HT", 408);
  expect_refused("GET / HTTP/1.1\r\nHost: x\r\nA", 408);
  expect_refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell", 408);
  expect_refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 408);
  // One byte now and then does not keep a header going.
  RawSocket client = connect();
  client.send("GET / HTTP/1.1\r\nHost: ");
  std::jthread trickle([fd = ::dup(client.fd())] {
    RawSocket same{Fd(fd)};
    while (same.send("x")) std::this_thread::sleep_for(milliseconds(5));
  });
  EXPECT_EQ(status_of(client.read_to_end()), 408);
  client.shutdown_send();
}

TEST_F(Limits, IdleConnectionsAreClosedWithoutAWord) {
  start({.idle_timeout = milliseconds(300)});
  EXPECT_EQ(talk(""), "");
  EXPECT_EQ(talk("\r\n\r\n"), "");
  RawSocket client = connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(client.read_answer()), 200);
  EXPECT_EQ(client.read_some(), "");
  EXPECT_TRUE(eventually([&] { return server_->n_connections() == 0; }));
}

TEST_F(Limits, AConnectionTooMany) {
  start({.max_connections = 2});
  RawSocket first = connect(), second = connect();
  ASSERT_TRUE(eventually([&] { return server_->n_connections() == 2; }));
  expect_refused("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 503);
  expect_refused("", 503);
  first.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(first.read_answer()), 200);
  first.close();
  ASSERT_TRUE(eventually([&] { return server_->n_connections() == 1; }));
  RawSocket third = connect();
  third.send("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(third.read_answer()), 200);
}

TEST_F(Limits, ManyIdleConnections) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 1200) GTEST_SKIP() << "the system allows " << files.rlim_cur << " files";
  start();
  std::vector<RawSocket> idle;
  for (int i = 0; i < 500; ++i) {
    idle.push_back(connect());
    if (i % 2 == 0) idle.back().send("GET /unfinished HTTP/1.1\r\n");
  }
  ASSERT_TRUE(eventually([&] { return server_->n_connections() == 500; }));
  for (int i = 0; i < 500; ++i) {
    idle[i].send(i % 2 == 0 ? "Host: x\r\n\r\n" : "GET /new HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(idle[i].read_answer().ends_with(i % 2 == 0 ? "GET /unfinished []" : "GET /new []"));
  }
  idle.clear();
  EXPECT_TRUE(eventually([&] { return server_->n_connections() == 0; }));
}

}  // namespace
}  // namespace quipu::http

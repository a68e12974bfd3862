// For tests: a server whose exchanges land in the test's own hands.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "http/test_net.h"

namespace quipu::http::test {

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

class StreamServer : public testing::TestWithParam<bool> {  // over a Unix socket
 protected:
  void start(const ServerOptions& options = {}) {
    server_ =
        serve(GetParam() ? path_.endpoint() : local_tcp(), options, [this](std::shared_ptr<Exchange> e) {
          std::lock_guard lock(mutex_);
          exchanges_.push_back(std::move(e));
        });
    ASSERT_TRUE(server_);
  }
  RawSocket connect() { return RawSocket(server_->endpoint()); }
  RawSocket request(std::string_view bytes = kGet) {
    RawSocket client = connect();
    client.send(bytes);
    return client;
  }
  // The next request that has come in.
  std::shared_ptr<Exchange> next() {
    std::shared_ptr<Exchange> e;
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex_);
      if (exchanges_.empty()) return false;
      e = std::move(exchanges_.front());
      exchanges_.erase(exchanges_.begin());
      return true;
    }));
    return e;
  }

  SocketPath path_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Exchange>> exchanges_;
  std::unique_ptr<Server> server_;
};

}  // namespace quipu::http::test

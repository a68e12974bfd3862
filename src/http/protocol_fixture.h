// For tests: a server that echoes, spoken to in bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/test_net.h"

namespace quipu::http::test {

inline void echo(const std::shared_ptr<Exchange>& exchange) {
  const Request& r = exchange->request();
  exchange->respond({.status = 200,
                     .headers = {{"Content-Type", "text/plain"}},
                     .body = r.method + " " + r.target + " [" + r.body + "]"});
}

class EchoServer : public testing::Test {
 protected:
  void start(const ServerOptions& options = {}, Handler handler = echo) {
    server_ = serve(test::local_tcp(), options, std::move(handler));
    ASSERT_TRUE(server_);
  }
  RawSocket connect() { return RawSocket(server_->endpoint()); }
  // Sends and reads until the server closes.
  std::string talk(std::string_view bytes) {
    RawSocket client = connect();
    client.send(bytes);
    return client.read_to_end();
  }
  void expect_refused(std::string_view bytes, int status) {
    const std::string answer = talk(bytes);
    EXPECT_EQ(status_of(answer), status) << bytes.substr(0, 300) << "\n--\n" << answer;
    EXPECT_NE(answer.find("Connection: close\r\n"), answer.npos);
    EXPECT_NE(answer.find("Content-Type: text/plain; charset=utf-8"), answer.npos);
    EXPECT_NE(answer.find(fmt::format("\r\n\r\n{} ", status)), answer.npos) << answer;
    // Whatever a client has hidden behind the bad request is not answered.
    EXPECT_EQ(answer.find("HTTP/1.1", 1), answer.npos) << answer;
  }

  std::unique_ptr<Server> server_;
};

}  // namespace quipu::http::test

// For tests: sockets without any HTTP in between, so that both sides can be spoken to as badly as wanted.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "http/server.h"
#include "http/socket.h"

namespace quipu::http::test {

using std::chrono::milliseconds;

// Nothing in a test depends on how long something takes; this is when a test that hangs gives up.
constexpr milliseconds kPatience{20'000};

inline Endpoint local_tcp() { return {.path = {}, .host = "127.0.0.1", .port = 0}; }

// A name for a socket that is free and short enough.
class SocketPath {
 public:
  SocketPath() {
    std::string name = "/tmp/quipu-http-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~SocketPath() {
    ::unlink(endpoint().path.c_str());
    ::rmdir(folder_.c_str());
  }
  Endpoint endpoint() const { return {.path = folder_ + "/s", .host = {}, .port = 0}; }

 private:
  std::string folder_;
};

// A socket to write to and read from, byte by byte. Without a server's cooperation every wait ends with
// kPatience.
class RawSocket {
 public:
  explicit RawSocket(Fd fd) : fd_(std::move(fd)) {}
  explicit RawSocket(const Endpoint& endpoint) {
    auto fd = connect_to(endpoint, kPatience, -1);
    EXPECT_TRUE(fd) << fd.error().message;
    if (fd) fd_ = std::move(*fd);
  }

  // False: the other side takes no more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        bytes.remove_prefix(static_cast<size_t>(n));
      } else if (errno != EAGAIN || wait_ready(fd_.get(), POLLOUT, kPatience, -1) != Ready::kReady) {
        return false;
      }
    }
    return true;
  }

  // The next bytes; empty: the other side has closed, or reset (then closed_hard()).
  std::string read_some(size_t most = 65536) {
    std::string bytes(most, '\0');
    for (;;) {
      const ssize_t n = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
      if (n >= 0) {
        bytes.resize(static_cast<size_t>(n));
        return bytes;
      }
      if (errno != EAGAIN) {
        hard_ = true;
        return {};
      }
      if (wait_ready(fd_.get(), POLLIN, kPatience, -1) != Ready::kReady) {
        ADD_FAILURE() << "nothing came";
        return {};
      }
    }
  }
  std::string read_to_end() {
    std::string all;
    for (std::string more = read_some(); !more.empty(); more = read_some()) all += more;
    return all;
  }
  // Up to and with `mark`; what came behind it is kept.
  std::string read_until(std::string_view mark) {
    for (;;) {
      if (const size_t at = kept_.find(mark); at != std::string::npos) {
        const std::string found = kept_.substr(0, at + mark.size());
        kept_.erase(0, found.size());
        return found;
      }
      const std::string more = read_some();
      if (more.empty()) {
        ADD_FAILURE() << "ended before '" << mark << "', after: " << kept_;
        return std::exchange(kept_, {});
      }
      kept_ += more;
    }
  }
  // A whole answer with Content-Length.
  std::string read_answer() {
    std::string head = read_until("\r\n\r\n");
    const size_t at = head.find("Content-Length: ");
    if (at == std::string::npos) return head;
    const size_t length = std::stoul(head.substr(at + 16));
    while (kept_.size() < length) {
      const std::string more = read_some();
      if (more.empty()) break;
      kept_ += more;
    }
    head += kept_.substr(0, length);
    kept_.erase(0, length);
    return head;
  }

  void shutdown_send() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  void reset() {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    fd_.reset();
  }
  bool closed_hard() const { return hard_; }
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
  std::string kept_;
  bool hard_ = false;
};

// Something that happens on another thread, once.
class Event {
 public:
  void set() {
    std::lock_guard lock(mutex_);
    happened_ = true;
    changed_.notify_all();
  }
  bool wait(milliseconds most = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most, [&] { return happened_; });
  }
  bool happened() { return wait(milliseconds(0)); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool happened_ = false;
};

inline bool eventually(const std::function<bool()>& what) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!what()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

inline std::unique_ptr<Server> serve(const Endpoint& endpoint, const ServerOptions& options,
                                     Handler handler) {
  auto server = Server::listen(endpoint, options, std::move(handler));
  EXPECT_TRUE(server) << server.error().message;
  return server ? std::move(*server) : nullptr;
}

inline int status_of(std::string_view answer) {
  return answer.size() > 12 && answer.starts_with("HTTP/1.") ? std::stoi(std::string(answer.substr(9, 3)))
                                                             : 0;
}

// The body of a chunked answer (head included in the text); stops where the framing does. `ended`: with its
// last chunk.
inline std::string dechunk(std::string_view answer, bool* ended) {
  std::string body;
  *ended = false;
  size_t at = answer.find("\r\n\r\n");
  if (at == answer.npos) return body;
  for (at += 4; at < answer.size();) {
    const size_t eol = answer.find("\r\n", at);
    if (eol == answer.npos) return body;
    const size_t size = std::stoul(std::string(answer.substr(at, eol - at)), nullptr, 16);
    if (size == 0) {
      *ended = answer.substr(eol) == "\r\n\r\n";
      return body;
    }
    body += answer.substr(eol + 2, size);
    at = eol + 2 + size + 2;
  }
  return body;
}

}  // namespace quipu::http::test

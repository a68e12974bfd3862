// Sockets below HTTP: an owned descriptor, listening, connecting.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>

#include "base/result.h"
#include "http/endpoint.h"

namespace quipu::http {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// A listening socket. A Unix socket's file is made with mode 0600, replaces one that nobody listens on any
// more, and is removed by the destructor if it is still this one.
//
// Threads: one at a time.
class ListenSocket {
 public:
  static Result<ListenSocket> open(const Endpoint& endpoint);
  ListenSocket(ListenSocket&&) = default;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  const Endpoint& endpoint() const { return endpoint_; }  // with the real port
  int family() const { return family_; }
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

 private:
  ListenSocket() = default;
  static Result<ListenSocket> open_unix(const Endpoint& endpoint);
  static Result<ListenSocket> open_tcp(const Endpoint& endpoint);

  Endpoint endpoint_;
  int family_ = 0;
  Fd fd_;
  Fd owns_file_;  // a descriptor of the socket's file (O_PATH), to recognise it
};

// A connected socket in non-blocking mode. `cancel` is a descriptor whose readability ends the attempt with
// kCancelled.
Result<Fd> connect_to(const Endpoint& endpoint, std::chrono::milliseconds timeout, int cancel);

enum class Ready { kReady, kTimeout, kCancelled };
// Waits until fd is ready for `events` (poll's). A negative timeout waits for ever.
Ready wait_ready(int fd, short events, std::chrono::milliseconds timeout, int cancel);

// "Connection refused"
std::string system_message(int number);

}  // namespace quipu::http

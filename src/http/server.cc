#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cerrno>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/block_signals.h"
#include "base/log.h"
#include "http/connection.h"
#include "http/socket.h"

namespace quipu::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kScratchBytes = 64 << 10;
// Connections taken in one go, before others get their turn.
constexpr int kAcceptsAtOnce = 64;
// When the system has no descriptors or memory left, the connection stays in the queue and would be offered
// at once again.
constexpr milliseconds kAcceptPause{100};
// Threads that write to sinks, once there is one: what they wait for is mostly the same disk.
constexpr size_t kSinkThreads = 4;
// Connections beyond the limit that are being told so; still more are closed without a word.
constexpr size_t kMostRefused = 64;

void prepare(int fd, int family) {
  if (family == AF_UNIX) return;
  // Every piece of a stream is worth its packet. A client whose machine is gone is noticed within about a
  // minute, also while there is nothing to send.
  constexpr int on = 1, idle_s = 30, interval_s = 10, probes = 3;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

}  // namespace

// Threads: construction and stop() from outside, everything else on thread_.
class Server::Impl {
 public:
  Impl(ListenSocket listener, const ServerOptions& options, Handler handler)
      : endpoint_(listener.endpoint()),
        family_(listener.family()),
        options_(options),
        handler_(std::move(handler)),
        listener_(std::move(listener)),
        listening_(io_, listener_->fd()),
        timer_(io_),
        work_(io_.get_executor()) {
    context_.on_closed = [this](const std::shared_ptr<Connection>& c) { forget(c); };
    context_.post_work = [this](std::function<void()> task) {
      if (!sink_threads_) sink_threads_.emplace(kSinkThreads);  // the first time it is thread_ that asks
      asio::post(*sink_threads_, std::move(task));
    };
    wait_for_clients();
  }
  ~Impl() {
    if (listener_) listening_.release();  // the descriptor is the listener's
  }

  void launch() {
    const BlockSignals in_the_new_thread;
    thread_ = std::thread([this] { run(); });
  }

  void stop(milliseconds grace) {
    std::call_once(stopped_, [&] {
      asio::post(io_, [this, grace] { begin_stop(grace); });
      thread_.join();
      if (sink_threads_) sink_threads_->join();
    });
  }

  const Endpoint& endpoint() const { return endpoint_; }
  size_t n_connections() const { return n_connections_; }

 private:
  void run() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& e) {
        spdlog::error("http server on {}: {}", endpoint_.to_string(), e.what());
      }
    }
  }

  void wait_for_clients() {
    listening_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code ec) {
      if (ec || context_.stopping) return;
      if (accept_some()) {
        wait_for_clients();
      } else {
        timer_.expires_after(kAcceptPause);
        timer_.async_wait([this](error_code cancelled) {
          if (!cancelled && !context_.stopping) wait_for_clients();
        });
      }
    });
  }

  // False: something is wrong that time may mend.
  bool accept_some() {
    for (int i = 0; i < kAcceptsAtOnce; ++i) {
      Fd fd(::accept4(listener_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.valid()) {
        try {
          take(std::move(fd));
        } catch (const std::exception& e) {
          spdlog::error("http server on {}: a connection was dropped: {}", endpoint_.to_string(), e.what());
          return false;
        }
        continue;
      }
      if (errno == EAGAIN) return true;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      spdlog::warn("http server on {} cannot accept a connection: {}", endpoint_.to_string(),
                   system_message(errno));
      return false;
    }
    return true;
  }

  void take(Fd fd) {
    const bool too_many = connections_.size() - n_refused_ >= options_.max_connections;
    if (too_many && n_refused_ >= kMostRefused) return;
    prepare(fd.get(), family_);
    Connection::Socket socket(io_);
    socket.assign(asio::generic::stream_protocol(family_, 0), fd.get());
    fd.release();
    const auto connection = std::make_shared<Connection>(context_, std::move(socket));
    connections_.insert(connection);
    n_connections_ = connections_.size();
    if (!too_many) return connection->start();
    ++n_refused_;
    connection->refuse();
  }

  void forget(const std::shared_ptr<Connection>& connection) {
    if (connections_.erase(connection) != 0 && connection->refused()) --n_refused_;
    n_connections_ = connections_.size();
    if (context_.stopping && connections_.empty()) end_stop();
  }

  void begin_stop(milliseconds grace) {
    context_.stopping = true;
    listening_.release();
    listener_.reset();
    timer_.cancel();
    each([](Connection& c) { c.wind_down(); });
    if (connections_.empty()) return end_stop();
    timer_.expires_after(grace);
    timer_.async_wait([this](error_code ec) {
      if (!ec) each([](Connection& c) { c.close(); });
    });
  }

  // Nothing is left that could wake: run() returns.
  void end_stop() {
    timer_.cancel();
    work_.reset();
  }

  template <class F>
  void each(F f) {
    const std::vector<std::shared_ptr<Connection>> now(connections_.begin(), connections_.end());
    for (const auto& connection : now) f(*connection);
  }

  const Endpoint endpoint_;
  const int family_;
  const ServerOptions options_;
  const Handler handler_;
  std::vector<char> scratch_ = std::vector<char>(kScratchBytes);
  asio::io_context io_{1};
  std::optional<ListenSocket> listener_;
  asio::posix::stream_descriptor listening_;
  asio::steady_timer timer_;  // a pause in accepting, then the grace of stop()
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  ConnectionContext context_{.io = io_,
                             .options = options_,
                             .handler = handler_,
                             .scratch = scratch_,
                             .stopping = false,
                             .on_closed = {},
                             .post_work = {}};
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  size_t n_refused_ = 0;  // of connections_
  std::optional<asio::thread_pool> sink_threads_;
  std::atomic<size_t> n_connections_ = 0;
  std::thread thread_;
  std::once_flag stopped_;
};

Result<std::unique_ptr<Server>> Server::listen(const Endpoint& endpoint, const ServerOptions& options,
                                               Handler handler) {
  QUIPU_ASSIGN(ListenSocket listener, ListenSocket::open(endpoint));
  try {
    auto impl = std::make_unique<Impl>(std::move(listener), options, std::move(handler));
    impl->launch();
    return std::unique_ptr<Server>(new Server(std::move(impl)));
  } catch (const std::exception& e) {
    return error(Code::kIo, "cannot start the server on {}: {}", endpoint.to_string(), e.what());
  }
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { impl_->stop(milliseconds(0)); }

const Endpoint& Server::endpoint() const { return impl_->endpoint(); }
size_t Server::n_connections() const { return impl_->n_connections(); }
void Server::stop(milliseconds grace) { impl_->stop(grace); }

}  // namespace quipu::http

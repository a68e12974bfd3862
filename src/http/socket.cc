#include "http/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <system_error>

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Connections that wait to be accepted; the system caps it at net.core.somaxconn.
constexpr int kBacklog = 4096;

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
  return address;
}

int bind_unix(int fd, const std::string& path) {
  const sockaddr_un address = unix_address(path);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Removes the socket file of a server that is no more. Anything else in the way is an error.
Result<void> remove_stale(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return {};  // nothing there: bind will say if that is a problem
  if (!S_ISSOCK(info.st_mode)) return error(Code::kInvalidArgument, "{} exists and is not a socket", path);
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return error(Code::kIo, "cannot make a socket: {}", system_message(errno));
  const sockaddr_un address = unix_address(path);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno == EAGAIN) {
    return error(Code::kUnavailable, "another server listens on {} already", path);
  }
  if (errno == ECONNREFUSED && ::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return error(Code::kIo, "cannot remove the old socket {}: {}", path, system_message(errno));
  }
  return {};
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> resolve(const Endpoint& endpoint, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(endpoint.port);
  const int status =
      ::getaddrinfo(endpoint.host.empty() ? nullptr : endpoint.host.c_str(), port.c_str(), &hints, &list);
  if (status != 0) {
    return error(Code::kUnavailable, "cannot find the address of {}: {}", endpoint.host,
                 ::gai_strerror(status));
  }
  return Addresses(list);
}

Result<Endpoint> with_real_port(Endpoint endpoint, int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return error(Code::kIo, "cannot read the address of a socket: {}", system_message(errno));
  }
  if (address.ss_family == AF_INET) {
    endpoint.port = ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  } else if (address.ss_family == AF_INET6) {
    endpoint.port = ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  }
  return endpoint;
}

// A listening TCP socket, or the errno.
int listen_on(const addrinfo& a, bool both_families, Fd& out) {
  Fd fd(::socket(a.ai_family, a.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a.ai_protocol));
  if (!fd.valid()) return errno;
  const int on = 1, only_v6 = both_families ? 0 : 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (a.ai_family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
  if (::bind(fd.get(), a.ai_addr, a.ai_addrlen) != 0 || ::listen(fd.get(), kBacklog) != 0) return errno;
  out = std::move(fd);
  return 0;
}

Result<Fd> connect_address(int family, const sockaddr* address, socklen_t size, milliseconds timeout,
                           int cancel, const Endpoint& endpoint) {
  const auto failed = [&](int number) {
    return error(Code::kUnavailable, "cannot connect to {}: {}", endpoint.to_string(),
                 system_message(number));
  };
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return failed(errno);
  if (family != AF_UNIX) {
    // A request is written in one go and then waited for: never hold back its last segment.
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  const auto deadline = steady_clock::now() + timeout;
  while (::connect(fd.get(), address, size) != 0) {
    if (errno == EISCONN) break;
    if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
      switch (wait_ready(fd.get(), POLLOUT, std::max(left, milliseconds(0)), cancel)) {
        case Ready::kCancelled:
          return error(Code::kCancelled, "cancelled");
        case Ready::kTimeout:
          return failed(ETIMEDOUT);
        case Ready::kReady:
          break;
      }
      int number = 0;
      socklen_t length = sizeof(number);
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &number, &length);
      if (number != 0) return failed(number);
      break;
    }
    // A Unix socket whose backlog is full says "again" and gives nothing to wait for.
    if (errno != EAGAIN || steady_clock::now() >= deadline) return failed(errno);
    if (wait_ready(-1, 0, milliseconds(10), cancel) == Ready::kCancelled)
      return error(Code::kCancelled, "cancelled");
  }
  return fd;
}

}  // namespace

std::string system_message(int number) { return std::generic_category().message(number); }

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<ListenSocket> ListenSocket::open(const Endpoint& endpoint) {
  return endpoint.is_unix() ? open_unix(endpoint) : open_tcp(endpoint);
}

Result<ListenSocket> ListenSocket::open_unix(const Endpoint& endpoint) {
  const std::string& path = endpoint.path;
  QUIPU_TRY(remove_stale(path));
  ListenSocket out;
  out.endpoint_ = endpoint;
  out.family_ = AF_UNIX;
  out.fd_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd_.valid()) return error(Code::kIo, "cannot make a socket: {}", system_message(errno));
  // The file gets the mode of the unbound socket, so there is no moment at which others could connect.
  if (::fchmod(out.fd_.get(), 0600) != 0 || bind_unix(out.fd_.get(), path) != 0) {
    return error(Code::kIo, "cannot listen on {}: {}", path, system_message(errno));
  }
  out.owns_file_ = Fd(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (::chmod(path.c_str(), 0600) != 0 || ::listen(out.fd_.get(), kBacklog) != 0) {
    return error(Code::kIo, "cannot listen on {}: {}", path, system_message(errno));
  }
  return out;
}

Result<ListenSocket> ListenSocket::open_tcp(const Endpoint& endpoint) {
  QUIPU_ASSIGN(const Addresses list, resolve(endpoint, AI_PASSIVE));
  const bool all_interfaces = endpoint.host.empty();
  ListenSocket out;
  int number = EADDRNOTAVAIL;
  // A name like "localhost" has an address of each family, and most clients try IPv4. "All interfaces" is one
  // IPv6 socket that serves both, where the system has IPv6.
  for (const int family : {all_interfaces ? AF_INET6 : AF_INET, all_interfaces ? AF_INET : AF_INET6}) {
    for (const addrinfo* a = list.get(); a != nullptr && !out.fd_.valid(); a = a->ai_next) {
      if (a->ai_family != family) continue;
      number = listen_on(*a, all_interfaces, out.fd_);
      out.family_ = family;
    }
    // "In use" is the answer to give; the other family would only hide it.
    if (out.fd_.valid() || number == EADDRINUSE || number == EACCES) break;
  }
  if (!out.fd_.valid()) {
    const Code code = number == EADDRINUSE ? Code::kUnavailable : Code::kIo;
    return error(code, "cannot listen on {}: {}", endpoint.to_string(), system_message(number));
  }
  QUIPU_ASSIGN(out.endpoint_, with_real_port(endpoint, out.fd_.get()));
  return out;
}

ListenSocket::~ListenSocket() {
  if (!owns_file_.valid()) return;
  struct stat mine{}, there{};
  if (::fstat(owns_file_.get(), &mine) == 0 && ::lstat(endpoint_.path.c_str(), &there) == 0 &&
      same_file(mine, there)) {
    ::unlink(endpoint_.path.c_str());
  }
}

Ready wait_ready(int fd, short events, milliseconds timeout, int cancel) {
  const bool for_ever = timeout < milliseconds(0);
  const auto deadline = steady_clock::now() + timeout;
  for (;;) {
    pollfd waits[2] = {{.fd = fd, .events = events, .revents = 0},
                       {.fd = cancel, .events = POLLIN, .revents = 0}};
    int wait_ms = -1;
    if (!for_ever) {
      const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
      wait_ms = static_cast<int>(std::clamp<int64_t>(left, 0, INT_MAX));
    }
    const int n = ::poll(waits, 2, wait_ms);
    if (n > 0 && waits[1].revents != 0) return Ready::kCancelled;
    if (n > 0) return Ready::kReady;
    if (n == 0) return Ready::kTimeout;
    if (errno != EINTR) return Ready::kReady;  // let the call that follows report what is wrong
  }
}

Result<Fd> connect_to(const Endpoint& endpoint, milliseconds timeout, int cancel) {
  if (endpoint.is_unix()) {
    const sockaddr_un address = unix_address(endpoint.path);
    return connect_address(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address), timeout,
                           cancel, endpoint);
  }
  QUIPU_ASSIGN(const Addresses list, resolve(endpoint, 0));
  Result<Fd> last = error(Code::kUnavailable, "{} has no address", endpoint.to_string());
  for (const addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
    last = connect_address(a->ai_family, a->ai_addr, a->ai_addrlen, timeout, cancel, endpoint);
    if (last || last.error().code == Code::kCancelled) return last;
  }
  return last;
}

}  // namespace quipu::http

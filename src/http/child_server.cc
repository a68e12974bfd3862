#include "http/child_server.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <span>
#include <thread>
#include <utility>

#include "base/environment.h"

extern char** environ;

namespace quipu::http {
namespace {

using std::chrono::milliseconds;

constexpr const char* kSocketName = "/server.sock";
constexpr size_t kMostLine = size_t{16} << 20;
constexpr size_t kMostErrorLine = 4096;  // longer ones are cut
// A runner closes its engine between two steps; the longest step of a large model takes about a second. A
// server waits for its runners.
constexpr milliseconds kPatience{5000}, kKillPatience{2000};

std::unexpected<Error> system_error(std::string_view what, int number) {
  return error(Code::kIo, "{}: {}", what, system_message(number));
}

struct Pipe {
  Fd read, write;
  Result<void> open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe", errno);
    read = Fd(ends[0]);
    write = Fd(ends[1]);
    return {};
  }
};

void never_wait(const Fd& fd) { ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK); }

// read() without waiting: bytes, 0 at the end, -1: nothing for now.
ssize_t read_now(const Fd& fd, std::span<char> into) {
  for (;;) {
    const ssize_t n = ::read(fd.get(), into.data(), into.size());
    if (n >= 0) return n;
    if (errno == EAGAIN) return -1;
    if (errno != EINTR) return 0;
  }
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& t : texts) all.push_back(t.data());
  all.push_back(nullptr);
  return all;
}

// Ours, with another folder for sockets where one is given.
std::vector<std::string> environment_of_child(const std::string& runtime_folder) {
  constexpr std::string_view kRuntime = "XDG_RUNTIME_DIR=";
  std::vector<std::string> all;
  for (char** v = environ; *v != nullptr; ++v)
    if (runtime_folder.empty() || !std::string_view(*v).starts_with(kRuntime)) all.emplace_back(*v);
  if (!runtime_folder.empty()) all.push_back(std::string(kRuntime) + runtime_folder);
  return all;
}

// posix_spawn's settings: nothing of ours but three descriptors goes to the child, which starts with signals
// as a fresh process has them.
class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    // A process group of its own: Ctrl-C is for this program, which knows what to end.
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (const int s : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&defaults, s);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
  }
  ~SpawnSettings() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&files_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  void give(const Fd& fd, int as) { posix_spawn_file_actions_adddup2(&files_, fd.get(), as); }
  // After the others: these take numbers that are ours.
  void give(std::span<const int> fds) {
    for (const int fd : fds) posix_spawn_file_actions_adddup2(&files_, fd, ++last_);
  }
  int spawn(pid_t* pid, const std::string& program, std::vector<std::string>& args,
            std::vector<std::string>& variables) {
    posix_spawn_file_actions_addclosefrom_np(&files_, last_ + 1);
    return posix_spawn(pid, program.c_str(), &files_, &attributes_, pointers(args).data(),
                       pointers(variables).data());
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
  int last_ = STDERR_FILENO;
};

}  // namespace

Result<std::unique_ptr<ChildServer>> ChildServer::spawn(const ChildOptions& options) {
  std::unique_ptr<ChildServer> p(new ChildServer(options.what));
  QUIPU_TRY(p->make_folder());
  QUIPU_TRY(p->start(options));
  return p;
}

ChildServer::~ChildServer() {
  if (!ended()) end();
  if (!wait(kPatience)) {
    kill();
    wait(kKillPatience);
  }
  // Nobody else can write there.
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Result<void> ChildServer::make_folder() {
  std::vector<std::string> places;
  if (const auto runtime = environment("XDG_RUNTIME_DIR"); runtime && runtime->value.starts_with('/'))
    places.push_back(runtime->value);
  places.push_back("/tmp");
  int number = ENAMETOOLONG;
  for (const std::string& place : places) {
    std::string name = place + "/quipu-XXXXXX";
    if (name.size() + std::strlen(kSocketName) >= sizeof(sockaddr_un::sun_path)) continue;
    if (::mkdtemp(name.data()) == nullptr) {  // mode 0700
      number = errno;
      continue;
    }
    folder_ = name;
    socket_ = folder_ + kSocketName;
    return {};
  }
  return system_error(
      fmt::format("cannot make a folder for the socket of {} below {}", what_, places.front()), number);
}

Result<void> ChildServer::start(const ChildOptions& options) {
  Pipe in, out, err;
  QUIPU_TRY(in.open());
  QUIPU_TRY(out.open());
  SpawnSettings settings;
  settings.give(in.read, STDIN_FILENO);
  settings.give(out.write, STDOUT_FILENO);
  if (options.capture_errors) {
    QUIPU_TRY(err.open());
    settings.give(err.write, STDERR_FILENO);
    never_wait(err.read);
  }
  settings.give(options.inherited);
  never_wait(out.read);
  std::vector<std::string> args = options.args(socket_);
  std::vector<std::string> variables = environment_of_child(options.keeps_sockets_together ? folder_ : "");
  const int failed = settings.spawn(&pid_, options.program, args, variables);
  if (failed != 0) return system_error(fmt::format("cannot start {} {}", what_, options.program), failed);
  ended_ = false;
  to_child_ = std::move(in.write);
  from_child_ = std::move(out.read);
  errors_ = std::move(err.read);
  return {};
}

std::optional<Result<std::string>> ChildServer::read_line() {
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t n = read_now(from_child_, buffer);
    output_closed_ = output_closed_ || n == 0;
    if (n <= 0) return std::nullopt;
    if (spoken_) continue;  // it has nothing more to say
    line_.append(buffer.data(), static_cast<size_t>(n));
    const size_t end = line_.find('\n');
    spoken_ = end != std::string::npos || line_.size() > kMostLine;
    if (!spoken_) continue;
    std::string line = std::exchange(line_, {});
    if (end == std::string::npos) return error(Code::kInternal, "the first line of {} has no end", what_);
    line.resize(end);
    return line;
  }
}

bool ChildServer::read_errors(FunctionRef<void(std::string_view)> on_line) {
  if (!errors_.valid()) return false;
  const auto end_line = [&] {
    if (error_line_.empty()) return;
    on_line(error_line_);
    last_error_line_ = std::exchange(error_line_, {});
  };
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = read_now(errors_, buffer);
    if (n < 0) return true;
    if (n == 0) {
      end_line();
      return false;
    }
    for (const char c : std::string_view(buffer.data(), static_cast<size_t>(n))) {
      if (c == '\n')
        end_line();
      else if (error_line_.size() < kMostErrorLine)
        error_line_.push_back(c);
    }
  }
}

bool ChildServer::ended() {
  if (ended_) return true;
  const pid_t gone = ::waitpid(pid_, &status_, WNOHANG);
  ended_ = gone == pid_ || (gone < 0 && errno == ECHILD);
  return ended_;
}

bool ChildServer::wait(milliseconds most) {
  const auto until = std::chrono::steady_clock::now() + most;
  while (!ended()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

std::string ChildServer::ending() const {
  const std::string last = last_error_line_.empty() ? "" : ": " + last_error_line_;
  if (WIFSIGNALED(status_)) {
    const int signal = WTERMSIG(status_);
    const char* hint = signal == SIGKILL ? "; the system may have run out of memory" : "";
    return fmt::format("{} was killed by signal {} ({}){}{}", what_, signal, ::strsignal(signal), hint, last);
  }
  return fmt::format("{} ended unexpectedly with status {}{}", what_,
                     WIFEXITED(status_) ? WEXITSTATUS(status_) : status_, last);
}

void ChildServer::end() {
  to_child_.reset();
  if (!ended_) ::kill(pid_, SIGTERM);  // while it loads it may not look at its input
}

void ChildServer::kill() {
  if (!ended_) ::kill(pid_, SIGKILL);
}

uint64_t ChildServer::resident_bytes() const {
  const Fd statm(::open(fmt::format("/proc/{}/statm", pid_).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text;
  const ssize_t n = statm.valid() ? ::read(statm.get(), text.data(), text.size()) : 0;
  if (n <= 0) return 0;
  // "size resident ...", in pages
  const std::string_view line(text.data(), static_cast<size_t>(n));
  const size_t at = line.find(' ');
  if (at == line.npos) return 0;
  uint64_t pages = 0;
  std::from_chars(line.data() + at + 1, line.data() + line.size(), pages);
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace quipu::http

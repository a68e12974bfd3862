#include "fleet/runner_process.h"

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
#include <span>
#include <thread>
#include <utility>

#include "base/environment.h"

extern char** environ;

namespace quipu::fleet {
namespace {

using http::Fd;
using std::chrono::milliseconds;

constexpr const char* kSocketName = "/runner.sock";
constexpr size_t kMostReadyLine = size_t{16} << 20;
constexpr size_t kMostErrorLine = 4096;  // longer ones are cut
// A runner closes its engine between two steps; the longest step of a large model takes about a second.
constexpr milliseconds kPatience{5000}, kKillPatience{2000};

std::unexpected<Error> system_error(std::string_view what, int number) {
  return error(Code::kIo, "{}: {}", what, http::system_message(number));
}

struct Pipe {
  Fd read, write;
  Result<void> open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot start the runner", errno);
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
  int spawn(pid_t* pid, const std::string& program, std::vector<std::string>& args) {
    posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1);
    std::vector<char*> argv;
    for (std::string& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    return posix_spawn(pid, program.c_str(), &files_, &attributes_, argv.data(), environ);
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

std::vector<std::string> arguments(const RunnerOptions& options, const std::string& socket) {
  std::vector<std::string> args = {"quipu",    "runner", "--model",    options.model,
                                   "--socket", socket,   "--parallel", std::to_string(options.parallel)};
  const auto add = [&](const char* flag, std::string value) {
    args.emplace_back(flag);
    args.push_back(std::move(value));
  };
  for (const std::string& projector : options.projectors) add("--projector", projector);
  if (options.num_ctx > 0) add("--num-ctx", std::to_string(options.num_ctx));
  if (!options.kv_cache_type.empty()) add("--kv-cache-type", options.kv_cache_type);
  if (options.threads > 0) add("--threads", std::to_string(options.threads));
  return args;
}

}  // namespace

Result<std::unique_ptr<RunnerProcess>> RunnerProcess::spawn(const RunnerOptions& options) {
  std::unique_ptr<RunnerProcess> p(new RunnerProcess());
  QUIPU_TRY(p->make_folder());
  QUIPU_TRY(p->start(options));
  return p;
}

RunnerProcess::~RunnerProcess() {
  if (!ended()) end();
  if (!wait(kPatience)) {
    kill();
    wait(kKillPatience);
  }
  if (!socket_.empty()) ::unlink(socket_.c_str());
  if (!folder_.empty()) ::rmdir(folder_.c_str());
}

Result<void> RunnerProcess::make_folder() {
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
  return system_error("cannot make a folder for the runner's socket below " + places.front(), number);
}

Result<void> RunnerProcess::start(const RunnerOptions& options) {
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
  never_wait(out.read);
  std::vector<std::string> args = arguments(options, socket_);
  const int failed = settings.spawn(&pid_, options.program, args);
  if (failed != 0) return system_error(fmt::format("cannot start the runner {}", options.program), failed);
  ended_ = false;
  to_child_ = std::move(in.write);
  from_child_ = std::move(out.read);
  errors_ = std::move(err.read);
  return {};
}

std::optional<Answer<RunnerReady>> RunnerProcess::read_output() {
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t n = read_now(from_child_, buffer);
    output_closed_ = output_closed_ || n == 0;
    if (n <= 0) return std::nullopt;
    if (spoken_) continue;  // it has nothing more to say
    ready_line_.append(buffer.data(), static_cast<size_t>(n));
    const size_t end = ready_line_.find('\n');
    spoken_ = end != std::string::npos || ready_line_.size() > kMostReadyLine;
    if (!spoken_) continue;
    const std::string line = std::exchange(ready_line_, {});
    if (end == std::string::npos) return failure(Code::kInternal, "the runner's first line has no end");
    return parse_ready(std::string_view(line).substr(0, end));
  }
}

Answer<RunnerReady> RunnerProcess::parse_ready(std::string_view line) const {
  const Json ready = Json::parse(line, nullptr, false);
  const auto member = [&](const char* key) -> Json {
    const auto it = ready.find(key);
    return it == ready.end() ? Json() : *it;
  };
  if (!ready.is_object() || !member("ready").is_boolean())
    return failure(Code::kInternal, "the runner's first line is not the one that was expected");
  if (!member("ready").get<bool>())
    return std::unexpected(failure_of(ready, "the runner could not load the model"));
  const Json load_ns = member("load_ns");
  return RunnerReady{.load_ns = load_ns.is_number_integer() ? load_ns.get<int64_t>() : 0,
                     .info = member("info"),
                     .memory = member("memory")};
}

bool RunnerProcess::read_errors(FunctionRef<void(std::string_view)> on_line) {
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

bool RunnerProcess::ended() {
  if (ended_) return true;
  const pid_t gone = ::waitpid(pid_, &status_, WNOHANG);
  ended_ = gone == pid_ || (gone < 0 && errno == ECHILD);
  return ended_;
}

bool RunnerProcess::wait(milliseconds most) {
  const auto until = std::chrono::steady_clock::now() + most;
  while (!ended()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

std::string RunnerProcess::ending() const {
  const std::string last = last_error_line_.empty() ? "" : ": " + last_error_line_;
  if (WIFSIGNALED(status_)) {
    const int signal = WTERMSIG(status_);
    const char* hint = signal == SIGKILL ? "; the system may have run out of memory" : "";
    return fmt::format("the runner was killed by signal {} ({}){}{}", signal, ::strsignal(signal), hint,
                       last);
  }
  return fmt::format("the runner ended unexpectedly with status {}{}",
                     WIFEXITED(status_) ? WEXITSTATUS(status_) : status_, last);
}

void RunnerProcess::end() {
  to_child_.reset();
  if (!ended_) ::kill(pid_, SIGTERM);  // while it loads it may not look at its input
}

void RunnerProcess::kill() {
  if (!ended_) ::kill(pid_, SIGKILL);
}

uint64_t RunnerProcess::resident_bytes() const {
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

}  // namespace quipu::fleet

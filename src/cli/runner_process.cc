#include "cli/runner_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "base/environment.h"
#include "cli/console.h"
#include "cli/report.h"
#include "cli/runner_connection.h"

extern char** environ;

namespace quipu::cli {

namespace {

constexpr const char* kSocketName = "/runner.sock";
constexpr size_t kMostReadyLine = size_t{16} << 20;
// A runner closes its engine between two steps; the longest step of a large model takes about a second.
constexpr int kPatienceMs = 5000, kTermPatienceMs = 2000;

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

std::unexpected<Error> system_error(std::string_view what, int number) {
  return error(Code::kIo, "{}: {}", what, std::strerror(number));
}

}  // namespace

Result<std::unique_ptr<RunnerProcess>> RunnerProcess::start(const RunnerOptions& options,
                                                            SignalWatch& signals,
                                                            FunctionRef<void()> on_tick) {
  std::unique_ptr<RunnerProcess> p(new RunnerProcess());
  QUIPU_TRY(p->make_folder());
  QUIPU_TRY(p->spawn(options));
  QUIPU_TRY(p->wait_until_ready(signals, on_tick));
  return p;
}

RunnerProcess::~RunnerProcess() {
  stop();
  close_fd(from_child_);
  if (!socket_.empty()) unlink(socket_.c_str());
  if (!folder_.empty()) rmdir(folder_.c_str());
}

Result<void> RunnerProcess::make_folder() {
  std::vector<std::string> places;
  if (const auto runtime = environment("XDG_RUNTIME_DIR"); runtime && runtime->value.starts_with('/'))
    places.push_back(runtime->value);
  places.push_back("/tmp");
  int number = 0;
  for (const std::string& place : places) {
    std::string name = place + "/quipu-XXXXXX";
    if (name.size() + std::strlen(kSocketName) >= sizeof(sockaddr_un::sun_path)) continue;
    if (mkdtemp(name.data()) == nullptr) {  // mode 0700
      number = errno;
      continue;
    }
    folder_ = name;
    socket_ = folder_ + kSocketName;
    return {};
  }
  return system_error("cannot make a folder for the runner's socket below " + places.front(), number);
}

Result<void> RunnerProcess::spawn(const RunnerOptions& options) {
  std::vector<std::string> args = {"quipu",    "runner", "--model",    options.model,
                                   "--socket", socket_,  "--parallel", std::to_string(options.parallel)};
  const auto add = [&](const char* flag, std::string value) {
    args.emplace_back(flag);
    args.push_back(std::move(value));
  };
  if (options.num_ctx > 0) add("--num-ctx", std::to_string(options.num_ctx));
  if (!options.kv_cache_type.empty()) add("--kv-cache-type", options.kv_cache_type);
  if (options.threads > 0) add("--threads", std::to_string(options.threads));
  std::vector<char*> argv;
  for (std::string& a : args) argv.push_back(a.data());
  argv.push_back(nullptr);

  int in[2] = {-1, -1}, out[2] = {-1, -1};
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
    const int number = errno;
    for (int* fd : {&in[0], &in[1], &out[0], &out[1]}) close_fd(*fd);
    return system_error("cannot start the runner", number);
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
  // A process group of its own: Ctrl-C is for this program, which cancels the request. Signals as a fresh
  // process has them.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  const int failed = posix_spawn(&pid_, options.program.c_str(), &files, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close_fd(in[0]);
  close_fd(out[1]);
  to_child_ = in[1];
  from_child_ = out[0];
  if (failed != 0) return system_error("cannot start the runner", failed);
  ended_ = false;
  return {};
}

Result<void> RunnerProcess::wait_until_ready(SignalWatch& signals, FunctionRef<void()> on_tick) {
  std::string line;
  char buffer[4096];
  while (true) {
    switch (signals.wait(from_child_, POLLIN, 100)) {
      case SignalWatch::Wake::kTimeout:
        on_tick();
        continue;
      case SignalWatch::Wake::kSignal:
        if (signals.take_interrupt()) return error(Code::kCancelled, "interrupted");
        continue;
      case SignalWatch::Wake::kReady:
        break;
    }
    const ssize_t n = read(from_child_, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      const auto why = death(kTermPatienceMs);
      return error(Code::kUnavailable, "{}", why ? *why : "the runner closed its output before it was ready");
    }
    line.append(buffer, static_cast<size_t>(n));
    if (const size_t end = line.find('\n'); end != std::string::npos)
      return read_ready_line(line.substr(0, end));
    if (line.size() > kMostReadyLine) return error(Code::kInternal, "the runner's first line has no end");
  }
}

Result<void> RunnerProcess::read_ready_line(const std::string& line) {
  const Json ready = Json::parse(line, nullptr, false);
  if (!ready.is_object() || !ready.contains("ready") || !ready["ready"].is_boolean())
    return error(Code::kInternal, "the runner's first line is not the one that was expected");
  if (!ready["ready"].get<bool>()) {
    Error e = runner_error(ready, "the runner could not load the model");
    std::string table = text_of(ready, "table");  // where the model does not fit: what needs how much
    table.erase(table.find_last_not_of('\n') + 1);
    if (!table.empty()) e.message += "\n" + table;
    return std::unexpected(std::move(e));
  }
  load_ns_ = number_of(ready, "load_ns");
  ready_ = true;
  return {};
}

bool RunnerProcess::reap(int wait_ms) {
  if (ended_) return true;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  while (true) {
    const pid_t gone = waitpid(pid_, &status_, WNOHANG);
    if (gone == pid_ || (gone < 0 && errno == ECHILD)) {
      ended_ = true;
      return true;
    }
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::optional<std::string> RunnerProcess::death(int wait_ms) {
  if (!reap(wait_ms)) return std::nullopt;
  if (WIFSIGNALED(status_)) {
    const int signal = WTERMSIG(status_);
    const char* hint = signal == SIGKILL ? "; the system may have run out of memory" : "";
    return fmt::format("the runner was killed by signal {} ({}){}", signal, strsignal(signal), hint);
  }
  return fmt::format("the runner ended unexpectedly with status {}",
                     WIFEXITED(status_) ? WEXITSTATUS(status_) : status_);
}

void RunnerProcess::stop() {
  close_fd(to_child_);
  if (ready_ && reap(kPatienceMs)) return;  // while it loads it does not look at its input
  if (ended_) return;
  kill(pid_, SIGTERM);
  if (reap(kTermPatienceMs)) return;
  kill(pid_, SIGKILL);
  reap(kPatienceMs);
}

}  // namespace quipu::cli

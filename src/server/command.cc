#include "server/command.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <iostream>

#include "base/environment.h"
#include "base/log.h"
#include "base/system_error.h"
#include "runner/end_watch.h"
#include "server/config.h"
#include "server/json.h"
#include "server/service.h"
#include "store/file_model.h"

namespace quipu::server {

namespace {

constexpr int kOk = 0, kFailed = 1, kUsage = 2;
// What runs at SIGTERM may finish in this time; a supervisor waits longer before it kills.
constexpr std::chrono::milliseconds kGrace{1'000};

bool say(const Json& line) {
  const std::string text = go_json(line) + "\n";
  return write(STDOUT_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

int refuse(const Error& e, int code = kFailed) {
  say({{"ready", false}, {"error", e.message}, {"code", code_name(e.code)}});
  return code;
}

// What the log says at start: every setting that is in effect.
void log_config(const Config& c) {
  std::string all;
  for (const auto& [name, value] : c.effective)
    all += fmt::format("{}{}:{}", all.empty() ? "" : " ", name, value);
  spdlog::info("server config env=\"map[{}]\"", all);
  for (const std::string& warning : c.warnings) spdlog::warn("invalid environment variable: {}", warning);
}

// What a large request takes goes back to the system when it is answered. (Left to itself glibc keeps blocks
// of up to 32 MiB once one was freed, in an arena for every thread.)
void settle_heap() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

// As many files as the system allows: each connection is one. The usual soft limit is for programs that use
// select().
void raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0)
    spdlog::warn("the limit of open files stays as it is: {}", system_message(errno));
}

int serve_public() {
  init_log(true);
  Config config = Config::from_environment();
  log_config(config);
  raise_file_limit();
  if (!is_loopback(config.host.endpoint) && config.api_key.empty())
    spdlog::warn(
        "ANYBODY who reaches {} can use this server and delete its models: it listens beyond this machine "
        "without a key. "
        "Set QUIPU_API_KEY, or QUIPU_HOST=127.0.0.1",
        config.host.endpoint.to_string());
  // Before any thread: they inherit the blocked signals.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto service = Service::start(std::move(config));
  if (!service) {
    std::cerr << "Error: " << service.error().message << "\n";
    return kFailed;
  }
  spdlog::info("Listening on {} (version {})", (*service)->endpoint().to_string(), QUIPU_VERSION);
  int number = 0;
  sigwait(&signals, &number);
  spdlog::info("ending: signal {}", number);
  (*service)->stop(kGrace);
  return kOk;
}

Config private_config(const std::string& socket, int64_t threads) {
  Config config = Config::from_environment();
  config.host = {};
  config.host.endpoint = {.path = socket, .host = {}, .port = 0};
  config.api_key.clear();
  config.num_parallel = 1;
  config.max_loaded = 1;
  config.keep_alive = std::chrono::nanoseconds(-1);
  config.preload.clear();
  config.prune = false;
  if (threads > 0) config.threads = threads;
  return config;
}

Result<std::unique_ptr<Service>> start_private(Config config, const std::string& model) {
  if (model.empty()) return Service::start(std::move(config));
  QUIPU_ASSIGN(store::ModelInfo info, store::read_file_model(model));
  return Service::start_private(std::move(config), std::move(info), model);
}

int serve_private(const std::string& socket, const std::string& model, int64_t threads) {
  const auto began = std::chrono::steady_clock::now();
  // Who started it hears of failures in the answers; a log is for who asks for one.
  const auto debug = environment({"QUIPU_DEBUG", "OLLAMA_DEBUG"});
  if (!debug || !debug->on()) spdlog::set_level(spdlog::level::off);
  auto watch = runner::EndWatch::start();
  if (!watch) return refuse(watch.error());
  std::signal(SIGPIPE, SIG_IGN);
  Config config = private_config(socket, threads);
  const std::vector<std::string> warnings = config.warnings;
  auto service = start_private(std::move(config), model);
  if (!service) return refuse(service.error());
  (*watch)->serving();
  const auto load_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began).count();
  if (!say({{"ready", true}, {"load_ns", load_ns}, {"warnings", warnings}})) return kFailed;
  (*watch)->wait();
  (*service)->stop(std::chrono::milliseconds(0));
  return kOk;
}

}  // namespace

int serve_command(std::span<const std::string> args) {
  bool is_private = false;
  std::string socket, model;
  int64_t threads = 0;
  CLI::App app("Serves models over HTTP (QUIPU_HOST says where; docs/environment.md has all settings)",
               "quipu serve");
  auto* hidden = app.add_flag("--private", is_private)->group("");
  app.add_option("--socket", socket)->needs(hidden)->group("");
  app.add_option("--model", model)->needs(hidden)->group("");
  app.add_option("--threads", threads)->needs(hidden)->group("")->check(CLI::Range(0, 1024));
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return std::cout << app.help() << std::flush ? kOk : kFailed;
  } catch (const CLI::ParseError& e) {
    std::cerr << "Error: " << e.what() << "\n";
    return kUsage;
  }
  settle_heap();
  if (!is_private) return serve_public();
  if (socket.empty()) {
    std::cerr << "Error: --private needs --socket\n";
    return kUsage;
  }
  return serve_private(socket, model, threads);
}

}  // namespace quipu::server

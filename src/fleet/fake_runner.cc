// For tests: stands for a runner. Its "model" is a JSON file that says how to load:
//
//   "log": file            lines "start PID" and "ready PID" go there
//   "wait_for": file       it is ready when that exists
//   "grow": true           meanwhile it takes more and more memory
//   "fidget": true         meanwhile it takes a little memory and gives it back, again and again
//   "stderr": text         is written there first
//   "refuse": {…}          it cannot load, and this says why
//   "needs", "capacity", "folder"   it is refused (out_of_memory) if with the others that note their needs in
//   that
//                          folder more would be needed than there is
//   "fixed", "floor"       it is admitted with that by the budget it shares, or refused
//   "crash": signal, "exit": status   instead of loading
//   "stubborn": true       neither a signal nor the end of its input ends it
//   "bytes": n             what it says it holds
//
// A request to /generate says what to do: "say": [words…] is the answer; "hold": file, it ends when that
// exists; "crash": signal, "exit": status; "refuse": {…}; "error": {…} a line; "cut": true ends the
// connection; "raw": text is sent as it is; "kv": bytes of cache, "held" of the last line says whether it got
// them, and they are cached when it is over; "preempt": n, so many sequences pause. The last line has its
// pid, and how many requests it had at once at most.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "memory/model_budget.h"

namespace {

namespace fs = std::filesystem;
using namespace quipu;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

void pause_a_little() { std::this_thread::sleep_for(milliseconds(1)); }

void append(const std::string& path, const std::string& line) {
  if (path.empty()) return;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0 || ::write(fd, line.data(), line.size()) < 0) std::perror(path.c_str());
  ::close(fd);
}

// Takes some memory, or gives it back.
void fidget() {
  constexpr size_t kLittle = 256 << 10;
  static void* const little =
      ::mmap(nullptr, kLittle, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static bool taken = false;
  if (little == MAP_FAILED) return;
  taken = !taken;
  if (taken)
    std::memset(little, 1, kLittle);
  else
    ::madvise(little, kLittle, MADV_DONTNEED);
}

void say(const Json& line) {
  const std::string text = line.dump() + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) std::perror("stdout");
}

// What runners that are there have noted, and this one's note.
bool fits(const Json& script) {
  const fs::path folder = script.value("folder", "");
  int64_t needed = script.value("needs", int64_t{0});
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto pid = static_cast<pid_t>(std::stol(entry.path().filename()));
    int64_t needs = 0;
    std::ifstream(entry.path()) >> needs;
    if (pid != ::getpid() && ::kill(pid, 0) == 0) needed += needs;
  }
  if (needed > script.value("capacity", int64_t{0})) return false;
  std::ofstream(folder / std::to_string(::getpid())) << script.value("needs", int64_t{0});
  return true;
}

class FakeRunner {
 public:
  FakeRunner(std::map<std::string, std::string> flags, Json script)
      : flags_(std::move(flags)), script_(std::move(script)) {}

  int run() {
    append(script_.value("log", ""), "start " + std::to_string(::getpid()) + "\n");
    if (const std::string text = script_.value("stderr", ""); !text.empty()) std::fputs(text.c_str(), stderr);
    if (script_.value("stubborn", false)) std::signal(SIGTERM, SIG_IGN);
    if (const int status = load(); status >= 0) return status;
    auto server = http::Server::listen({.path = flags_["--socket"], .host = {}, .port = 0}, {},
                                       [this](std::shared_ptr<http::Exchange> e) { take(std::move(e)); });
    if (!server) return 1;
    append(script_.value("log", ""), "ready " + std::to_string(::getpid()) + "\n");
    say({{"ready", true}, {"load_ns", 1234}, {"info", info()}, {"memory", memory(0)}});
    wait_for_end();
    ending_ = true;
    (*server)->stop();
    for (std::thread& t : threads_) t.join();
    return 0;
  }

 private:
  // Negative: loaded.
  int load() {
    if (script_.contains("folder") && !fits(script_)) {
      say({{"ready", false},
           {"error", "no room"},
           {"code", "out_of_memory"},
           {"plan", {{"fits", "no"}}},
           {"table", "t"}});
      return 1;
    }
    if (script_.contains("fixed")) {
      auto budget = memory::ModelBudget::inherited(std::stoul(flags_.at("--budget-slot")));
      if (!budget) return 3;
      budget_ = std::move(*budget);
      const uint64_t fixed = script_["fixed"], floor = script_.value("floor", uint64_t{0});
      const memory::Machine machine = budget_->machine();
      if (!budget_->admit(fixed, floor)) {
        say({{"ready", false},
             {"error", "no room"},
             {"code", "out_of_memory"},
             {"plan",
              {{"charge", fixed + floor},
               {"machine", {{"budget", machine.budget()}, {"free", machine.free()}}}}}});
        return 1;
      }
    }
    if (script_.contains("refuse")) {
      Json line = script_["refuse"];
      line["ready"] = false;
      say(line);
      return 1;
    }
    std::vector<std::string> grown;
    while (script_.contains("wait_for") && !fs::exists(script_["wait_for"].get<std::string>())) {
      if (script_.value("fidget", false)) fidget();
      if (script_.value("grow", false)) grown.emplace_back(1 << 16, 'x');
      pause_a_little();
    }
    if (script_.contains("crash")) ::raise(script_["crash"].get<int>());
    if (script_.contains("exit")) return script_["exit"].get<int>();
    return -1;
  }

  Json info() {
    const auto n_ctx = flags_.find("--num-ctx");
    return {{"architecture", "fake"},
            {"num_ctx", n_ctx == flags_.end() ? 4096 : std::stol(n_ctx->second)},
            {"flags", flags_}};
  }
  Json memory(int64_t more) {
    const int64_t bytes = script_.value("bytes", int64_t{1000});
    return {{"total", {{"planned", bytes}, {"measured", bytes + more}}}};
  }

  void wait_for_end() {
    pollfd in{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    char c;
    while (::poll(&in, 1, -1) < 0 || ::read(STDIN_FILENO, &c, 1) != 0) {
    }
    while (script_.value("stubborn", false)) pause_a_little();
  }

  void take(std::shared_ptr<http::Exchange> exchange) {
    threads_.emplace_back([this, exchange = std::move(exchange)] { answer(*exchange); });
  }

  void answer(http::Exchange& e) {
    const std::string& target = e.request().target;
    const Json body = Json::parse(e.request().body, nullptr, false);
    if (target == "/memory") return e.respond({.body = memory(1).dump()});
    if (target == "/tokenize") {
      Json tokens = Json::array();
      for (const unsigned char c : body["text"].get<std::string>()) tokens.push_back(c);
      return e.respond({.body = Json{{"tokens", tokens}, {"request", body}}.dump()});
    }
    if (target == "/detokenize") {
      std::string text;
      for (const Json& id : body["tokens"]) text.push_back(static_cast<char>(id.get<int>()));
      return e.respond({.body = Json{{"text", text}}.dump()});
    }
    if (target == "/embed") {
      Json embeddings = Json::array();
      for (const Json& text : body["input"]) embeddings.push_back({text.get<std::string>().size()});
      return e.respond({.body = Json{{"embeddings", embeddings}, {"prompt_tokens", 1}}.dump()});
    }
    if (target == "/trim") {
      const std::lock_guard lock(kv_mutex_);
      kv_ = kv_in_use_;
      budget_->hold(kv_);
      append(script_.value("log", ""), "trimmed\n");
      return e.respond({.body = memory(0).dump()});
    }
    generate(e, body);
  }

  // As an engine does it: what it has cached itself goes first, then it asks.
  bool take_kv(uint64_t bytes) {
    const std::unique_lock lock(kv_mutex_);
    const auto take = [&] {
      if (!budget_->hold(kv_in_use_ + bytes)) return false;
      kv_ = kv_in_use_ += bytes;
      return true;
    };
    return take() || (budget_->ask(bytes) && take());
  }

  void generate(http::Exchange& e, const Json& body) {
    if (body.value("render_only", false)) return e.respond({.body = Json{{"prompt", "rendered"}}.dump()});
    if (body.contains("refuse"))
      return e.respond({.status = body.value("status", 400), .body = body["refuse"].dump()});
    const int active = ++active_;
    for (int most = most_active_; active > most && !most_active_.compare_exchange_weak(most, active);) {
    }
    e.start(200, {{"Content-Type", "application/x-ndjson"}});
    e.push("{\"started\":true}\n");
    for (const Json& word : body.value("say", Json::array())) e.push(Json{{"text", word}}.dump() + "\n");
    const uint64_t kv = body.value("kv", uint64_t{0});
    const bool held = kv > 0 && take_kv(kv);
    if (kv > 0) append(script_.value("log", ""), held ? "held\n" : "denied\n");
    for (int n = body.value("preempt", 0); n > 0; --n) budget_->count_preemption();
    if (body.contains("raw")) e.push(body["raw"].get<std::string>());
    while (body.contains("hold") && !fs::exists(body["hold"].get<std::string>()) && !e.gone() && !ending_)
      pause_a_little();
    if (body.contains("stderr")) std::fputs(body["stderr"].get<std::string>().c_str(), stderr);
    if (body.contains("crash") && ::kill(::getpid(), body["crash"].get<int>()) == 0) {
      for (;;) pause_a_little();  // it may arrive a little later
    }
    if (body.contains("exit")) ::_exit(body["exit"].get<int>());
    if (held) {
      const std::lock_guard lock(kv_mutex_);
      kv_in_use_ -= kv;
    }
    --active_;
    if (e.gone()) append(script_.value("log", ""), "cancelled\n");
    if (body.value("cut", false)) return e.abort();
    if (body.contains("error")) {
      e.push(body["error"].dump() + "\n");
    } else if (!body.contains("raw")) {
      e.push(Json{{"done", true}, {"pid", ::getpid()}, {"most_active", most_active_.load()}, {"held", held}}
                 .dump() +
             "\n");
    }
    e.finish();
  }

  std::map<std::string, std::string> flags_;
  const Json script_;
  std::vector<std::thread> threads_;  // one for each request; the server's thread adds them
  std::unique_ptr<memory::ModelBudget> budget_;
  std::mutex kv_mutex_;
  uint64_t kv_ = 0, kv_in_use_ = 0;
  std::atomic<int> active_ = 0, most_active_ = 0;
  std::atomic<bool> ending_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // of a test that has crashed nothing stays
  std::map<std::string, std::string> flags;
  for (int i = 2; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  std::ifstream in(flags["--model"]);
  Json script = Json::parse(in, nullptr, false);
  if (!script.is_object()) return 2;
  return FakeRunner(std::move(flags), std::move(script)).run();
}

#include "fleet/fleet.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "base/block_signals.h"
#include "fleet/memory_facts.h"
#include "fleet/scheduler.h"
#include "fleet/workers.h"

namespace quipu::fleet {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// For the memory object of a runner, which it makes within milliseconds if it is well.
constexpr milliseconds kMeasurePatience{2'000};

}  // namespace

RunnerClient& Lease::runner() { return state_.client; }
const Json& Lease::info() const { return state_.link->info; }
int64_t Lease::load_ns() const { return state_.load_ns; }
int64_t Lease::waited_ns() const { return state_.waited_ns; }
bool Lease::cancelled() const { return state_.client.cancelled(); }
uint64_t Lease::ticket() const { return state_.ticket; }

// The scheduler's thread, and the door to it.
class Fleet::Impl {
 public:
  explicit Impl(const FleetOptions& options)
      : bounds_(options.bounds),
        budget_(share(bounds_)),
        scheduler_(io_, options, workers_, budget_.get()),
        work_(io_.get_executor()) {
    const BlockSignals in_the_new_thread;
    thread_ = std::thread([this] { run(); });
  }

  uint64_t submit(Job job) {
    const uint64_t ticket = ++last_ticket_;
    const auto shared = std::make_shared<Job>(std::move(job));
    const bool taken = post([this, ticket, shared, now = Scheduler::Clock::now()] {
      scheduler_.submit(ticket, std::move(*shared), now);
    });
    if (!taken && shared->fail) shared->fail(Error{Code::kUnavailable, "the server is shutting down", {}});
    return ticket;
  }

  // Runs f on the scheduler's thread, later. False: it has ended.
  bool post(std::function<void()> f) {
    std::lock_guard lock(door_);
    if (closed_) return false;
    asio::post(io_, std::move(f));
    return true;
  }

  // The same, and waits for its result; a default one after the end.
  template <class F>
  auto ask(F f) -> decltype(f()) {
    if (std::this_thread::get_id() == thread_id_) return f();
    const auto promise = std::make_shared<std::promise<decltype(f())>>();
    auto result = promise->get_future();
    if (!post([promise, f] { promise->set_value(f()); })) return {};
    return result.get();
  }

  Scheduler& scheduler() { return scheduler_; }
  const memory::Bounds& bounds() const { return bounds_; }
  const memory::SharedBudget* budget() const { return budget_.get(); }

  void stop(milliseconds grace) {
    std::call_once(stopped_, [&] {
      post([this, grace] { scheduler_.stop(grace, [this] { work_.reset(); }); });
      thread_.join();
    });
  }

 private:
  void run() {
    thread_id_ = std::this_thread::get_id();
    run_loop();
    {
      std::lock_guard lock(door_);
      closed_ = true;
    }
    io_.restart();
    run_loop();  // what came in meanwhile
  }

  void run_loop() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& e) {
        spdlog::error("the fleet's thread: {}", e.what());
      }
    }
  }

  static std::unique_ptr<memory::SharedBudget> share(const memory::Bounds& bounds) {
    auto shared = memory::SharedBudget::create(bounds);
    if (shared) return std::move(*shared);
    spdlog::error("each model is on its own: {}", shared.error().message);
    return nullptr;
  }

  const memory::Bounds bounds_;
  const std::unique_ptr<memory::SharedBudget> budget_;
  asio::io_context io_{1};
  Workers workers_;
  Scheduler scheduler_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::atomic<uint64_t> last_ticket_ = 0;
  std::mutex door_;
  bool closed_ = false;
  std::atomic<std::thread::id> thread_id_;
  std::thread thread_;
  std::once_flag stopped_;
};

Fleet::Fleet(FleetOptions options) : impl_(std::make_unique<Impl>(options)) {}
Fleet::~Fleet() { stop(milliseconds(0)); }

uint64_t Fleet::submit(Job job) { return impl_->submit(std::move(job)); }

void Fleet::cancel(uint64_t ticket) {
  impl_->post([impl = impl_.get(), ticket] { impl->scheduler().cancel(ticket); });
}

void Fleet::expire(const std::string& model_path) {
  impl_->post([impl = impl_.get(), model_path] { impl->scheduler().expire(model_path); });
}

std::vector<Loaded> Fleet::list() const {
  std::vector<Loaded> out;
  for (auto& seen : impl_->ask([impl = impl_.get()] { return impl->scheduler().look(); }))
    out.push_back(std::move(seen.loaded));
  return out;
}

std::vector<Loaded> Fleet::list_measured() const {
  std::vector<Loaded> out;
  for (auto& [loaded, link] : impl_->ask([impl = impl_.get()] { return impl->scheduler().look(); })) {
    if (link != nullptr && loaded.state == Loaded::State::kReady) {
      if (auto memory = RunnerClient(link, kMeasurePatience).memory()) {
        loaded.memory = std::move(*memory);
        if (const auto engine = loaded.memory.find("engine"); engine != loaded.memory.end()) {
          loaded.engine = std::move(*engine);
          loaded.memory.erase(engine);
        }
        loaded.bytes = held_bytes(loaded.model, loaded.memory);
      }
    }
    out.push_back(std::move(loaded));
  }
  return out;
}

memory::Machine Fleet::budget() const {
  const memory::SharedBudget* shared = impl_->budget();
  return shared != nullptr ? shared->machine() : memory::probe_machine({.bounds = impl_->bounds()});
}

size_t Fleet::n_waiting() const {
  return impl_->ask([impl = impl_.get()] { return impl->scheduler().n_waiting(); });
}

void Fleet::stop(milliseconds grace) { impl_->stop(grace); }

}  // namespace quipu::fleet

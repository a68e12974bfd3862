// What happens to models, one line each; of a load the numbers that tell what it takes and how it runs.
#include "base/log.h"
#include "base/units.h"
#include "server/native/handlers.h"
#include "server/native/prepare.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

// "weights 93.6 MiB planned, 93.7 MiB measured; workspace …"
std::string categories(const Json& memory) {
  std::string out;
  for (const char* name : {"weights", "projector", "kv", "workspace", "output", "runtime", "total"}) {
    const auto it = memory.find(name);
    if (it == memory.end() || !it->is_object()) continue;
    const auto planned = it->value("planned", uint64_t{0}), measured = it->value("measured", uint64_t{0});
    if (planned == 0 && measured == 0) continue;
    out += fmt::format("{}{} {} planned, {} measured", out.empty() ? "" : "; ", name, format_bytes(planned),
                       format_bytes(measured));
  }
  return out;
}

}  // namespace

void log_event(const Config& config, const fleet::FleetEvent& e) {
  using Kind = fleet::FleetEvent::Kind;
  switch (e.kind) {
    case Kind::kLoaded: {
      const Json& i = e.loaded.info;
      spdlog::info(
          "loaded {} in {}: {} {}, num_ctx {}, parallel {}, KV {}, {} threads, {}, pid {}; {}; memory {}",
          e.loaded.model.name, format_duration_ns(e.load_ns), i.value("architecture", "?"),
          i.value("quantization", "?"), i.value("num_ctx", int64_t{0}), config.num_parallel,
          i.value("kv_cache_type", "?"), i.value("threads", 0), i.value("isa", "?"), e.loaded.pid,
          categories(e.loaded.memory), e.loaded.memory.dump(-1, ' ', false, Json::error_handler_t::replace));
      break;
    }
    case Kind::kLoadFailed:
      spdlog::log(e.retried ? spdlog::level::info : spdlog::level::err, "cannot load {}{}: {}",
                  e.loaded.model.name, e.retried ? " beside what is loaded" : "", e.why);
      break;
    case Kind::kUnloaded:
      spdlog::info("unloaded {}", e.loaded.model.name);
      break;
    case Kind::kCrashed:
      spdlog::error("the runner of {} (pid {}) has unexpectedly stopped, with {} requests: {}",
                    e.loaded.model.name, e.loaded.pid, e.loaded.running, e.why);
      break;
  }
}

void preload(Service& service, const std::string& name) {
  const auto model = find_model(service, name, {});
  if (!model) return spdlog::error("{} cannot be preloaded: {}", name, model.error().sentence);
  fleet::Job job;
  job.model = model_ref(service, **model);
  job.keep_alive = std::chrono::nanoseconds(-1);
  job.run = [](fleet::Lease&) {};
  job.fail = [name](const fleet::Failure& failure) {
    spdlog::error("{} cannot be preloaded: {}", name, failure.message);
  };
  service.fleet().submit(std::move(job));
}

}  // namespace quipu::server::native

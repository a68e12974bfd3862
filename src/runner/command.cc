#include "runner/command.h"

#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>

#include "base/log.h"
#include "runner/end_watch.h"
#include "runner/json_body.h"
#include "runner/kv_types.h"
#include "runner/loaded_model.h"
#include "runner/service.h"

namespace quipu::runner {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kOk = 0, kFailed = 1, kUsage = 2;

struct Options {
  std::string model, socket, kv, wished_kv;
  LoadOptions load;
};

// One line for whoever started this process. False: nobody reads it any more.
bool say(const Json& line) {
  const std::string text = dump(line) + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t n = write(STDOUT_FILENO, rest.data(), rest.size());
    if (n > 0)
      rest.remove_prefix(static_cast<size_t>(n));
    else if (errno != EINTR)
      return false;
  }
  return true;
}

int refuse(const LoadFailure& failure, int code) {
  Json line = {{"ready", false}, {"error", failure.error.message}, {"code", code_name(failure.error.code)}};
  if (!failure.plan.is_null()) {
    line["plan"] = failure.plan;
    line["table"] = failure.table;
  }
  say(line);
  return code;
}

// Little of what a runner allocates lives long. One arena for all threads, and no mappings of their own for
// medium sizes: what is freed is used again, and what is there can be seen as "[heap]" (the largest blocks
// still go back one by one).
void settle_heap() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int serve(const Options& o, Clock::time_point began) {
  auto watch = EndWatch::start();
  if (!watch) return refuse(watch.error(), kFailed);
  auto model = LoadedModel::load(o.model, o.load);
  if (!model) return refuse(model.error(), kFailed);
  auto service = Service::start(**model, o.socket);
  if (!service) return refuse(service.error(), kFailed);
  (*watch)->serving();
  const auto load_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - began).count();
  const Json ready = {
      {"ready", true}, {"load_ns", load_ns}, {"info", (*model)->info()}, {"memory", (*model)->memory()}};
  if (!say(ready)) return kFailed;
  (*watch)->wait();
  return kOk;
}

}  // namespace

int runner_command(std::span<const std::string> args) {
  const auto began = Clock::now();
  settle_heap();
  Options o;
  constexpr std::string_view kSlotFlag = "--budget-slot";
  if (std::ranges::find(args, kSlotFlag) != args.end()) {
    o.load = load_options_below_server();
    o.load.n_ctx_is_default = true;  // what a request asks for comes with the request
  } else if (auto defaults = default_load_options()) {
    o.load = *defaults;
  } else {
    return refuse(defaults.error(), defaults.error().code == Code::kInvalidArgument ? kUsage : kFailed);
  }
  o.kv = kv_types_name(o.load.kv_types);
  CLI::App app("Holds one model and answers over a Unix socket (docs/runner-protocol.md)", "quipu runner");
  app.add_option("--model", o.model, "GGUF file")->required();
  app.add_option("--projector", o.load.projectors, "GGUF file for images; may be given again");
  app.add_option("--socket", o.socket, "where to listen")->required();
  app.add_option("--num-ctx", o.load.n_ctx,
                 "tokens of one sequence; default: the model's own, as far as memory allows")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  app.add_option("--parallel", o.load.n_parallel, "sequences at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--kv-cache-type", o.kv, "f16, bf16, q8_0, q4_0, f32 or K:V")->capture_default_str();
  app.add_option("--wished-num-ctx", o.load.wish.n_ctx, "instead, where that does not fit")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  app.add_option("--wished-kv-cache-type", o.wished_kv, "the same");
  app.add_option("--threads", o.load.n_threads, "threads; default: physical cores")
      ->check(CLI::Range(0, 1024));
  app.add_option(std::string(kSlotFlag), o.load.budget_slot, "slot of the budget on descriptors 3 and 4")
      ->group("");
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return std::cout << app.help() << std::flush ? kOk : kFailed;
  } catch (const CLI::ParseError& e) {
    return refuse(Error{Code::kInvalidArgument, e.what(), {}}, kUsage);
  }
  auto kv = parse_kv_types(o.kv);
  if (!kv) return refuse(kv.error(), kv.error().code == Code::kInvalidArgument ? kUsage : kFailed);
  o.load.kv_types = *kv;
  if (!o.wished_kv.empty()) {
    auto wished = parse_kv_types(o.wished_kv);
    if (!wished) return refuse(wished.error(), kUsage);
    o.load.wish.kv_types = *wished;
  }
  return serve(o, began);
}

}  // namespace quipu::runner

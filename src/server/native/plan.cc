// /api/plan: what a model would take, from its file's header alone. Spec: quipu-extensions 6.
//
// The header is read by a process of its own, `quipu plan`: a file that shrinks while it is mapped ends that
// one. Beyond the spec: with "texts":true the answer has the texts of the table that `quipu plan` prints, and
// "threads" is how many it is planned for.
#include <algorithm>
#include <chrono>

#include "doctor/plan_child.h"
#include "runner/memory_report.h"
#include "server/native/handlers.h"
#include "server/native/prepare.h"
#include "server/request_body.h"
#include "server/router.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

// A header has megabytes at most; only a disk that stands still takes longer.
constexpr std::chrono::seconds kPatience{30};

struct Input {
  std::string model;
  Json options;
  int64_t parallel = 0, threads = 0;  // 0: as set
  bool texts = false;
};

// What a browser can say: ?model=NAME&num_ctx=N&parallel=N&kv_cache_type=T
Json body_of_query(const std::string& query) {
  Json body = Json::object();
  for (size_t at = 0; at < query.size();) {
    const size_t end = std::min(query.find('&', at), query.size());
    const std::string pair = query.substr(at, end - at);
    at = end + 1;
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string key = pair.substr(0, equals);
    const Target value = parse_target("/" + pair.substr(std::min(equals + 1, pair.size())));
    if (!value.valid) continue;
    Json v = value.path.substr(1);
    // Numbers go on as such; what is none is refused where it is read.
    if (Json n = Json::parse(value.path.substr(1), nullptr, false); n.is_number()) v = n;
    if (key == "num_ctx" || key == "kv_cache_type")
      body["options"][key] = v;
    else
      body[key] = key == "model" ? Json(value.path.substr(1)) : v;
  }
  return body;
}

Result<Input> read_input(const Json& body) {
  const Fields f(body, "PlanRequest");
  Input in;
  QUIPU_ASSIGN(in.model, f.text("model", "name"));
  QUIPU_ASSIGN(const Json* options, f.object("options", "map[string]interface {}"));
  in.options = options != nullptr ? *options : Json::object();
  QUIPU_ASSIGN(in.parallel, f.integer("parallel", 0));
  if (in.parallel < 0 || in.parallel > 256)
    return error(Code::kInvalidArgument, "parallel must be between 1 and 256");
  QUIPU_ASSIGN(in.threads, f.integer("threads", 0));
  if (in.threads < 0 || in.threads > 1024)
    return error(Code::kInvalidArgument, "threads must be between 0 and 1024");
  QUIPU_ASSIGN(in.texts, f.flag("texts", false));
  return in;
}

doctor::PlanRequest request_of(const Config& config, const store::ModelInfo& model, const Options& options,
                               const Input& in, const memory::Machine& machine) {
  return {.path = model.model_path,
          .projector = model.projector_paths.empty() ? "" : model.projector_paths.front(),
          .budget = machine.budget(),
          .admitted = machine.admitted,
          .n_parallel = in.parallel > 0 ? in.parallel : config.num_parallel,
          .n_ctx = options.num_ctx,
          .n_ctx_is_default = options.num_ctx_is_default,
          .kv_cache_type = options.kv_cache_type.empty() ? config.kv_cache_type : options.kv_cache_type,
          .threads = in.threads > 0 ? in.threads : config.threads};
}

}  // namespace

void plan(Service& service, const ReplyPtr& reply, Parameter) {
  const std::string& text = reply->request().body;
  const auto body = text.empty() && reply->request().method == "GET"
                        ? Result<Json>(body_of_query(parse_target(reply->request().target).query))
                        : parse_object(text, "PlanRequest");
  if (!body) return reply->error(400, body.error().message);
  const auto in = read_input(*body);
  if (!in) return reply->error(400, in.error().message);
  const auto model = find_model(service, in->model, {});
  if (!model) return answer(*reply, model.error());
  if ((*model)->model_path.empty())
    return reply->error(
        500, fmt::format("{} has no weights that this server can run", service.shown_name(**model)));
  const auto options = merge_options(service, **model, &in->options);
  // A wrong type is 400 here, where only Ollama's own endpoints have its 500.
  if (!options)
    return reply->error(options.error().status == 500 ? 400 : options.error().status,
                        options.error().sentence);

  const memory::Machine machine = service.fleet().budget();
  memory::Machine beside = machine;  // without this model, if it is loaded
  Json measured;
  for (const fleet::Loaded& loaded : service.fleet().list_measured()) {
    if (loaded.model.model_path != (*model)->model_path || loaded.state != fleet::Loaded::State::kReady)
      continue;
    measured = loaded.memory;
    beside.admitted -= std::min(beside.admitted, loaded.charge);
  }
  auto planned =
      doctor::plan_in_child(request_of(service.config(), **model, *options, *in, beside), kPatience);
  if (!planned) return reply->error(500, planned.error().message);
  Json& out = *planned;
  if (!in->texts) out.erase("texts");
  out["model"] = in->model;
  out["machine"] = runner::machine_json(machine);
  runner::add_measured(out["memory"], measured);
  reply->json(200, out);
}

}  // namespace quipu::server::native

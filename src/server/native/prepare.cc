#include "server/native/prepare.h"

#include "base/deadline.h"
#include "modelfile/parameters.h"
#include "runner/kv_types.h"
#include "server/native/answer.h"
#include "server/request_body.h"
#include "server/service.h"
#include "store/show.h"

namespace quipu::server::native {

namespace {

bool is_kv_cache_type(const Json& value) {
  return value.is_string() && runner::parse_kv_types(value.get_ref<const std::string&>()).has_value();
}

// What a runner would say of a value of ours, before anything is loaded for it; empty: nothing.
std::string wrong_value(const Json& values) {
  if (const auto kv = values.find("kv_cache_type"); kv != values.end() && kv->is_string())
    if (const auto types = runner::parse_kv_types(kv->get<std::string>()); !types)
      return fmt::format("option \"kv_cache_type\": {}", types.error().message);
  if (values.value("max_seconds", 0.0) < 0) return "option \"max_seconds\" must not be negative";
  return {};
}

}  // namespace

std::unexpected<Refusal> refuse(int status, std::string sentence) {
  return std::unexpected(Refusal{status, std::move(sentence)});
}

void answer(Reply& reply, const Refusal& refusal) {
  reply.json(refusal.status, {{"error", refusal.sentence}}, refusal.type);
}

Checked<Info> find_model(Service& service, const std::string& name, const NameErrors& errors) {
  if (name.empty()) return refuse(errors.empty_status, errors.empty);
  if (const auto reference = parse_model_reference(name);
      reference && reference->source == ModelReference::Source::kCloud)
    return refuse(403, "ollama cloud is disabled: remote model is unavailable");
  auto model = service.read_model(name);
  if (model) return *model;
  if (model.error().code == Code::kInvalidArgument) return refuse(400, model.error().message);
  if (model.error().code == Code::kNotFound)
    return refuse(404, fmt::format(fmt::runtime(errors.missing), name));
  return refuse(500, model.error().message);
}

Checked<Options> merge_options(Service& service, const store::ModelInfo& model, const Json* request_options) {
  Options out;
  // Whether it has a num_ctx.
  const auto merge = [&](const Json& from) -> Checked<bool> {
    const auto converted = modelfile::convert_options(as_map(from));
    if (!converted) {
      // Ours are checked more strictly than Ollama's.
      const auto* parameter = modelfile::find_parameter(converted.error().subject);
      return refuse(parameter != nullptr && parameter->ours ? 400 : 500, converted.error().message);
    }
    for (const auto& [key, value] : converted->known.items()) out.values[key] = value;
    for (const std::string& unknown : converted->unknown) service.unknown_options().warn(unknown);
    return converted->known.contains("num_ctx");
  };
  if (auto merged = merge(Json(model.parameters)); !merged) return std::unexpected(merged.error());
  if (request_options != nullptr) {
    const auto merged = merge(*request_options);
    if (!merged) return std::unexpected(merged.error());
    out.num_ctx_is_default = !*merged;
    if (std::string wrong = wrong_value(out.values); !wrong.empty()) return refuse(400, std::move(wrong));
  }

  const Config& config = service.config();
  if (!out.values.contains("num_ctx") && config.context_length > 0)
    out.values["num_ctx"] = config.context_length;
  if (const auto it = out.values.find("num_ctx"); it != out.values.end()) {
    int64_t n = std::max<int64_t>(it->get<int64_t>(), 4);  // as Ollama raises it
    const uint64_t trained = model.facts != nullptr ? model.facts->context_length : 0;
    if (trained > 0) n = std::min(n, static_cast<int64_t>(std::min<uint64_t>(trained, INT64_MAX)));
    *it = n;
    out.num_ctx = n;
    if (out.num_ctx_is_default) out.values.erase(it);
  }
  if (const auto kv = out.values.find("kv_cache_type"); kv != out.values.end() && is_kv_cache_type(*kv))
    out.kv_cache_type = kv->get<std::string>();
  if (const auto limit = config.request_timeout; limit.count() > 0) {
    const double seconds = static_cast<double>(limit.count()) / 1e9;
    const double own = out.values.value("max_seconds", 0.0);
    out.values["max_seconds"] = own > 0 ? std::min(own, seconds) : seconds;
  }
  out.max_seconds = out.values.value("max_seconds", 0.0);
  return out;
}

Json template_in_use(const store::ModelInfo& model) {
  // A built-in renderer writes what the file's own template does; the layer beside it is often a mere stub.
  const bool has_own = model.facts != nullptr && !model.facts->chat_template.empty();
  const bool go = model.template_source == store::TemplateSource::kGo ||
                  (model.template_source == store::TemplateSource::kRenderer && !has_own);
  if (!go || !model.go_template) return Json();
  return {{"kind", "go"}, {"text", *model.go_template}};
}

void answer_failure(Reply& reply, const fleet::Failure& failure, bool in_stream) {
  // Cancelled though there is somebody who waits for it: nothing else does that.
  if (failure.code == Code::kCancelled && !reply.gone())
    return reply.error_line(503, "the server is shutting down");
  Json more = Json::object();
  if (!failure.plan.is_null()) {
    Json plan = {{"model", reply.model()}};
    plan.update(failure.plan);
    more["quipu"] = {{"plan", std::move(plan)}, {"table", failure.table}};
  }
  if (failure.code == Code::kCancelled) reply.note("cancelled");
  reply.error_line(status_of(failure.code),
                   failure.code == Code::kCancelled ? "request canceled" : failure.message, more,
                   in_stream ? "application/json" : "application/json; charset=utf-8");
}

// Of several projectors the first is used, as by Ollama.
fleet::ModelRef model_ref(const Service& service, const store::ModelInfo& model) {
  const auto& projectors = model.projector_paths;
  Json options(model.parameters);
  // A bad one is the answer of whoever has tokens computed with it.
  if (const auto kv = options.find("kv_cache_type"); kv != options.end() && !is_kv_cache_type(*kv))
    options.erase(kv);
  return {.name = service.shown_name(model),
          .digest = model.digest.hex(),
          .model_path = model.model_path,
          .projector_paths = {projectors.begin(), projectors.begin() + (projectors.empty() ? 0 : 1)},
          .default_options = std::move(options),
          .details = store::details_json(model, false)};
}

void run_job(Service& service, const ReplyPtr& reply, const Info& model, KeepAlive keep_alive,
             const Options& options, bool light, std::function<void(fleet::Lease& lease)> work,
             std::function<void()> too_late) {
  // Never without a part that belongs to it.
  if (!model->adapter_paths.empty())
    return reply->error(501, fmt::format("{} has an adapter (LoRA), and adapters are not supported yet",
                                         service.shown_name(*model)));
  if (model->model_path.empty())
    return reply->error(
        500, fmt::format("{} has no weights that this server can run", service.shown_name(*model)));
  reply->set_model(service.shown_name(*model));
  fleet::Job job;
  job.model = model_ref(service, *model);
  job.keep_alive = keep_alive;
  job.num_ctx = options.num_ctx_is_default ? 0 : options.num_ctx;
  job.kv_cache_type = options.kv_cache_type;
  job.light = light;
  if (!light) job.deadline = deadline_after(reply->received(), options.max_seconds);
  job.too_late = [reply, too_late = std::move(too_late)] {
    reply->note("waited");
    if (too_late) return too_late();
    reply->error(503, "the time for this request is over");
  };
  job.run = [reply, work = std::move(work)](fleet::Lease& lease) {
    if (lease.waited_ns() > 100'000'000) reply->note("waited");
    work(lease);
  };
  job.fail = [reply](fleet::Failure failure) {
    // Ollama's status for a file that it cannot load: the request could not have been better.
    if (failure.code == Code::kUnsupported) failure.code = Code::kCorrupt;
    answer_failure(*reply, failure);
  };
  const uint64_t ticket = service.fleet().submit(std::move(job));
  // The fleet outlives all exchanges: the server stops taking them first.
  reply->exchange()->on_gone([&fleet = service.fleet(), ticket] { fleet.cancel(ticket); });
}

void set_default_context(Json& runner_body, const Options& options) {
  if (options.num_ctx > 0 && options.num_ctx_is_default) runner_body["default_num_ctx"] = options.num_ctx;
}

void set_time_left(Json& runner_options, const Options& options, const Reply& reply) {
  if (!(options.max_seconds > 0)) return;
  const double left = options.max_seconds - static_cast<double>(reply.elapsed_ns()) / 1e9;
  runner_options["max_seconds"] = std::max(left, 1e-9);  // 0 would be no limit
}

}  // namespace quipu::server::native

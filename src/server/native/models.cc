// Models in the store and at work: /api/tags, show, copy, delete, ps. Spec: ollama-compat 1.10 to 1.12, 1.16.
#include "server/native/answer.h"
#include "server/native/handlers.h"
#include "server/native/machine.h"
#include "server/native/prepare.h"
#include "server/request_body.h"
#include "server/service.h"
#include "server/times.h"
#include "store/show.h"

namespace quipu::server::native {

void tags(Service& service, const ReplyPtr& reply, Parameter) { reply->json(200, service.list_models()); }

void show(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "ShowRequest");
  if (!body) return reply->error(400, body.error().message);
  const Fields f(*body, "ShowRequest");
  struct Input {
    std::string name;
    store::ShowOptions options;
  };
  const auto in = [&]() -> Result<Input> {
    Input i;
    QUIPU_ASSIGN(i.name, f.text("model", "name"));
    QUIPU_ASSIGN(i.options.verbose, f.flag("verbose", false));
    QUIPU_ASSIGN(i.options.system, f.text("system"));
    QUIPU_ASSIGN(const Json* options, f.object("options", "map[string]interface {}"));
    if (options != nullptr) i.options.options = as_map(*options);
    return i;
  }();
  if (!in) return reply->error(400, in.error().message);
  if (in->name.empty()) return reply->error(400, "model is required");

  const auto reference = parse_model_reference(in->name);
  if (reference && reference->source == ModelReference::Source::kCloud)
    return reply->error(403, "ollama cloud is disabled: remote model details are unavailable");
  // Unlike the others this one answers with the whole name.
  NameErrors errors;
  if (reference) errors.missing = fmt::format("model '{}' not found", reference->name.short_name());
  const auto model = find_model(service, in->name, errors);
  if (!model) return answer(*reply, model.error());
  store::ShowOptions options = in->options;
  if (const auto agent = reply->request().headers.find("User-Agent");
      agent && agent->starts_with("GitHubCopilotChat/"))
    options.basename = in->name;
  const auto shown = store::show_json(**model, options);
  if (!shown) return reply->error(500, shown.error().message);
  reply->json(200, *shown);
}

void copy(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "CopyRequest");
  if (!body) return reply->error(400, body.error().message);
  const Fields f(*body, "CopyRequest");
  const auto source = f.text("source"), destination = f.text("destination");
  if (!source) return reply->error(400, source.error().message);
  if (!destination) return reply->error(400, destination.error().message);
  const auto from = parse_model_reference(*source), to = parse_model_reference(*destination);
  if (!from) return reply->error(400, fmt::format("source \"{}\" is invalid", *source));
  if (!to || to->source == ModelReference::Source::kCloud)  // nothing can be put there
    return reply->error(400, fmt::format("destination \"{}\" is invalid", *destination));
  if (from->source == ModelReference::Source::kCloud)
    return reply->error(404, fmt::format("model \"{}\" not found", *source));
  store::Store& store = service.store();
  const auto copied = store.copy_manifest(store.resolve(from->name), store.resolve(to->name));
  if (!copied && copied.error().code == Code::kNotFound)
    return reply->error(404, fmt::format("model \"{}\" not found", *source));
  if (!copied) return reply->error(500, copied.error().message);
  reply->empty(200);
}

void remove(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "DeleteRequest");
  if (!body) return reply->error(400, body.error().message);
  const auto name = Fields(*body, "DeleteRequest").text("model", "name");
  if (!name) return reply->error(400, name.error().message);
  if (name->empty()) return reply->error(400, "model is required");
  const auto reference = parse_model_reference(*name);
  if (!reference) return reply->error(400, fmt::format("name \"{}\" is invalid", *name));
  if (reference->source == ModelReference::Source::kCloud)  // not the one here of the same name
    return reply->error(404, fmt::format("model '{}' not found", *name));
  const auto removed = service.store().remove_model(service.store().resolve(reference->name));
  if (!removed && removed.error().code == Code::kNotFound)
    return reply->error(404, fmt::format("model '{}' not found", *name));
  if (!removed) return reply->error(500, removed.error().message);
  reply->empty(200);
}

void metrics(Service& service, const ReplyPtr& reply, Parameter) {
  std::vector<fleet::Loaded> loaded = service.fleet().list_measured();
  std::erase_if(loaded, [](const fleet::Loaded& m) { return m.state == fleet::Loaded::State::kStopping; });
  reply->text(200, service.metrics().text(loaded, service.fleet().budget(), own_memory()),
              "text/plain; version=0.0.4; charset=utf-8");
}

void ps(Service& service, const ReplyPtr& reply, Parameter) {
  Json models = Json::array();
  constexpr int64_t kNever = INT64_MAX;  // about the year 2262, which prints as "Forever"
  for (const fleet::Loaded& m : service.fleet().list_measured()) {
    // On its way out, with nothing left to do: to a user it is gone.
    if (m.state == fleet::Loaded::State::kStopping && m.running == 0) continue;
    Json one = {
        {"name", m.model.name}, {"model", m.model.name}, {"size", m.bytes}, {"digest", m.model.digest}};
    one["details"] = m.model.details;
    const int64_t expires =
        m.expires_at
            ? std::chrono::duration_cast<std::chrono::nanoseconds>(m.expires_at->time_since_epoch()).count()
            : kNever;
    one["expires_at"] = local_time(expires);
    one["size_vram"] = 0;
    // Of a default a runner takes what fits, and knows how much that was.
    const auto served = m.engine.is_object() ? m.engine.value("num_ctx", int64_t{0}) : 0;
    one["context_length"] = served > 0 ? served : m.n_ctx;
    Json ours = {{"state", m.state == fleet::Loaded::State::kLoading    ? "loading"
                           : m.state == fleet::Loaded::State::kStopping ? "stopping"
                                                                        : "ready"},
                 {"running", m.running},
                 {"waiting", m.waiting}};
    if (!m.memory.is_null()) ours["memory"] = m.memory;
    if (m.charge > 0) ours["charge"] = m.charge;
    one["quipu"] = std::move(ours);
    models.push_back(std::move(one));
  }
  Json ours = {{"memory", {{"total", {{"measured", own_memory()}}}}}};  // of the server's own process
  ours["machine"] = machine_json(service);
  reply->json(200, {{"models", std::move(models)}, {"quipu", std::move(ours)}});
}

}  // namespace quipu::server::native

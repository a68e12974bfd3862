// /api/doctor: what the server finds of its machine and its settings.
#include "doctor/findings.h"
#include "doctor/models.h"
#include "doctor/plan_child.h"
#include "server/examine_settings.h"
#include "server/native/handlers.h"
#include "server/native/prepare.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

// The store's models as this server's settings would load them.
quipu::doctor::ModelSource models_of(Service& service) {
  quipu::doctor::ModelSource source;
  for (const ModelName& name : service.store().list_names()) source.names.push_back(name.short_name());
  source.read = [&service](const std::string& name) -> Result<quipu::doctor::StoredModel> {
    QUIPU_ASSIGN(const Info model, service.read_model(name));
    if (model->model_path.empty()) return error(Code::kUnsupported, "it has no weights");
    const auto options = merge_options(service, *model, nullptr);
    if (!options) return error(Code::kInvalidArgument, "{}", options.error().sentence);
    const Config& config = service.config();
    quipu::doctor::StoredModel out{
        .path = model->model_path,
        .n_ctx = options->num_ctx,
        .says_n_ctx = model->parameters.contains("num_ctx"),
        .kv_cache_type = options->kv_cache_type.empty() ? config.kv_cache_type : options->kv_cache_type,
        .says_kv_cache_type = !options->kv_cache_type.empty(),
        .threads = static_cast<int>(config.threads),
        .n_parallel = config.num_parallel};
    if (const auto kv = options->values.find("kv_cache_type");
        kv != options->values.end() && kv->is_string() && options->kv_cache_type.empty())
      out.bad_kv_cache_type = kv->get<std::string>();
    if (!model->projector_paths.empty()) out.projector = model->projector_paths.front();
    return out;
  };
  source.plan = quipu::doctor::plan_in_child;
  return source;
}

}  // namespace

void doctor(Service& service, const ReplyPtr& reply, Parameter) {
  using quipu::doctor::Finding;
  std::vector<Finding> all = {{"server", quipu::doctor::Status::kOk, "quipu " QUIPU_VERSION, {}}};
  const auto add = [&](std::vector<Finding> more) {
    for (Finding& f : more) all.push_back(std::move(f));
  };
  add(examine_settings(service.config()));
  add(quipu::doctor::examine_processor());
  add(quipu::doctor::examine_memory(service.fleet().budget()));
  if (!service.config().models.empty()) {
    all.push_back(quipu::doctor::examine_store(service.config().models));
    add(quipu::doctor::examine_models(models_of(service), service.fleet().budget().budget()));
  }
  if (const http::Endpoint& e = service.config().host.endpoint; !e.is_unix())
    all.push_back(quipu::doctor::examine_port(service.endpoint().port, true));
  reply->json(200, quipu::doctor::findings_json(all));
}

}  // namespace quipu::server::native

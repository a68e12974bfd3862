// /api/doctor: what the server finds of its machine and its settings.
#include "doctor/findings.h"
#include "server/native/handlers.h"
#include "server/service.h"

namespace quipu::server::native {

void doctor(Service& service, const ReplyPtr& reply, Parameter) {
  using quipu::doctor::Finding;
  std::vector<Finding> all = {{"server", quipu::doctor::Status::kOk, "quipu " QUIPU_VERSION, {}}};
  const auto add = [&](std::vector<Finding> more) {
    for (Finding& f : more) all.push_back(std::move(f));
  };
  add(quipu::doctor::examine_processor());
  add(quipu::doctor::examine_memory(service.fleet().budget()));
  if (!service.config().models.empty()) all.push_back(quipu::doctor::examine_store(service.config().models));
  if (const http::Endpoint& e = service.config().host.endpoint; !e.is_unix())
    all.push_back(quipu::doctor::examine_port(service.endpoint().port));
  reply->json(200, quipu::doctor::findings_json(all));
}

}  // namespace quipu::server::native

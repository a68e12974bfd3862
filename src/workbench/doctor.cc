// quipu doctor: what holds this machine back, and what to do about it, on one screen.
#include <sys/stat.h>

#include <iostream>

#include "base/environment.h"
#include "doctor/findings.h"
#include "doctor/models.h"
#include "doctor/plan_child.h"
#include "http/host_setting.h"
#include "runner/load_options.h"
#include "store/layout.h"
#include "store/store.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"
#include "workbench/named_file.h"
#include "workbench/running_server.h"

namespace quipu::workbench {

namespace {

using doctor::Finding;
using doctor::Status;

constexpr std::chrono::seconds kPatience{20};  // a server plans each of its models

std::string text_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// What a server of ours has found itself: its environment is what counts for models.
bool add_findings_of_server(std::vector<Finding>& all) {
  const auto said = ask_server("/api/doctor", kPatience);
  if (!said || !said->contains("findings") || !(*said)["findings"].is_array()) return false;
  for (const Json& one : (*said)["findings"]) {
    if (!one.is_object()) continue;
    const std::string name = text_at(one, "name"), status = text_at(one, "status");
    if (name == "server") continue;  // it has said so by its version
    all.push_back({name,
                   status == "error"  ? Status::kError
                   : status == "warn" ? Status::kWarn
                                      : Status::kOk,
                   text_at(one, "text"), text_at(one, "remedy")});
  }
  return true;
}

Finding server_finding() {
  const auto version = ask_server("/api/version");
  if (!version) return {"server", Status::kOk, "none listens here (quipu serve starts one)", {}};
  const auto ours = version->find("quipu");
  if (ours == version->end() || !ours->is_object())
    return {"server", Status::kOk, "an Ollama, " + text_at(*version, "version"), {}};
  const std::string its = text_at(*ours, "version");
  if (its == QUIPU_VERSION) return {"server", Status::kOk, "quipu " + its, {}};
  return {"server", Status::kWarn, fmt::format("quipu {}, this program is {}", its, QUIPU_VERSION),
          "restart the server (systemctl restart quipu) or update the client"};
}

// The user's own models, with the settings that this environment would load them with.
Result<std::vector<Finding>> model_findings(uint64_t budget) {
  const store::Layout layout(store::default_root());
  struct stat facts{};
  // A store is read, and not made by asking for one.
  if (::stat(layout.manifests().c_str(), &facts) != 0) return std::vector<Finding>{};
  QUIPU_ASSIGN(const auto models, store::Store::open(layout.root()));
  int64_t n_ctx = 0;
  if (const auto v = environment({"QUIPU_CONTEXT_LENGTH", "OLLAMA_CONTEXT_LENGTH"})) {
    QUIPU_ASSIGN(n_ctx, v->whole_number(0, kMostContext));
  }
  QUIPU_ASSIGN(const auto defaults, runner::default_load_options());
  doctor::ModelSource source;
  for (const ModelName& name : models->list_names()) source.names.push_back(name.short_name());
  source.read = [&](const std::string& name) -> Result<doctor::StoredModel> {
    QUIPU_ASSIGN(const auto reference, parse_model_reference(name));
    QUIPU_ASSIGN(const NamedFile model, read_named_model(*models, reference.name));
    return doctor::StoredModel{.path = model.path,
                               .projector = model.projectors.empty() ? "" : model.projectors.front(),
                               .n_ctx = model.n_ctx > 0 ? model.n_ctx : n_ctx,
                               .n_ctx_train = model.n_ctx_train,
                               .says_n_ctx = model.n_ctx > 0,
                               .kv_cache_type = model.kv_cache_type,
                               .n_parallel = defaults.n_parallel};
  };
  source.plan = doctor::plan_in_child;
  return doctor::examine_models(std::move(source), budget);
}

Result<void> run(bool json) {
  std::vector<Finding> all = {{"client", Status::kOk, "quipu " QUIPU_VERSION, {}}, server_finding()};
  const auto add = [&](std::vector<Finding> more) {
    for (Finding& f : more) all.push_back(std::move(f));
  };
  if (!add_findings_of_server(all)) {
    add(doctor::examine_processor());
    QUIPU_ASSIGN(const memory::Bounds bounds, memory::Bounds::from_environment());
    const memory::Machine machine = memory::probe_machine({.bounds = bounds});
    add(doctor::examine_memory(machine));
    all.push_back(doctor::examine_store(store::default_root()));
    if (auto models = model_findings(machine.budget()))
      add(std::move(*models));
    else
      all.push_back({"models", Status::kError, models.error().message, "correct that"});
    if (const http::HostSetting host = http::host_setting_from_environment(); !host.endpoint.is_unix())
      all.push_back(doctor::examine_port(host.endpoint.port));
  }
  if (json) {
    std::cout << doctor::findings_json(all).dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    return {};
  }
  for (const Finding& f : all) {
    std::cout << fmt::format("{:<6}{:<11}{}\n", doctor::status_name(f.status), f.name, f.text);
    if (!f.remedy.empty()) std::cout << fmt::format("{:<17}-> {}\n", "", f.remedy);
  }
  return {};
}

}  // namespace

int doctor_command(std::span<const std::string> args) {
  bool json = false;
  int code = kOk;
  CLI::App app("What holds this machine back, and what to do about it", "quipu doctor");
  app.add_flag("--json", json, "one JSON object");
  if (!parse(app, args, &code)) return code;
  return finish([&] { return run(json); });
}

}  // namespace quipu::workbench

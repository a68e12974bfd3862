// quipu doctor: what holds this machine back, and what to do about it, on one screen.
#include <sys/stat.h>

#include <iostream>

#include "base/json_members.h"
#include "doctor/findings.h"
#include "doctor/models.h"
#include "doctor/plan_child.h"
#include "http/host_setting.h"
#include "server/config.h"
#include "server/examine_settings.h"
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
constexpr std::chrono::seconds kPatienceForVersion{3};

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

// The server that QUIPU_HOST names, by its version.
struct Asked {
  Finding finding;
  bool serves = false;  // it is a server for models
};

Asked ask_version() {
  const http::HostSetting host = http::host_setting_from_environment();
  const std::string where = server_is_here() ? "" : host.endpoint.to_string() + ": ";
  Asked out;
  Finding& f = out.finding;
  f.name = "server";
  const auto warn = [&](std::string text, std::string remedy) {
    f.status = Status::kWarn;
    f.text = where + std::move(text);
    f.remedy = std::move(remedy);
    return out;
  };
  if (host.scheme == "https")
    return warn("https is not supported by this client", "QUIPU_HOST=http://..., or a tunnel to the server");
  const auto answer = get_from_server("/api/version", kPatienceForVersion);
  if (!answer && !where.empty())
    return warn("does not answer: " + answer.error().message, "start a server there, or correct QUIPU_HOST");
  const Json version = answer ? Json::parse(answer->body, nullptr, false) : Json();
  const std::string level = version.is_object() ? text_at(version, "version") : "";
  if (answer && answer->status == 401) {
    out.serves = true;
    return warn("wants a key", "set QUIPU_API_KEY to the server's");
  }
  if (level.empty() && !where.empty())
    return warn("what answers there serves no models", "start a server there, or correct QUIPU_HOST");
  if (level.empty()) {  // whoever holds the port is another finding
    f.text = "none listens here (quipu serve starts one)";
    return out;
  }
  out.serves = true;
  const auto ours = version.find("quipu");
  if (ours == version.end() || !ours->is_object()) {
    f.text = where + "an Ollama, " + level;
    return out;
  }
  const std::string its = text_at(*ours, "version");
  if (its != QUIPU_VERSION)
    return warn(fmt::format("quipu {}, this program is {}", its, QUIPU_VERSION),
                "restart the server (systemctl restart quipu) or update the client");
  f.text = where + "quipu " + its;
  return out;
}

// The user's own models, with the settings that this environment would load them with.
Result<std::vector<Finding>> model_findings(uint64_t budget, const server::Config& config) {
  const store::Layout layout(store::default_root());
  struct stat facts{};
  // A store is read, and not made by asking for one.
  if (::stat(layout.manifests().c_str(), &facts) != 0) return std::vector<Finding>{};
  QUIPU_ASSIGN(const auto models, store::Store::open(layout.root()));
  doctor::ModelSource source;
  for (const ModelName& name : models->list_names()) source.names.push_back(name.short_name());
  source.read = [&](const std::string& name) -> Result<doctor::StoredModel> {
    QUIPU_ASSIGN(const auto reference, parse_model_reference(name));
    QUIPU_ASSIGN(const NamedFile model, read_named_model(*models, reference.name));
    return doctor::StoredModel{.path = model.path,
                               .projector = model.projectors.empty() ? "" : model.projectors.front(),
                               .n_ctx = model.n_ctx > 0 ? model.n_ctx : config.context_length,
                               .says_n_ctx = model.n_ctx > 0,
                               .kv_cache_type = model.kv_cache_type,
                               .says_kv_cache_type = !model.kv_cache_type.empty(),
                               .bad_kv_cache_type = model.bad_kv_cache_type,
                               .n_parallel = config.num_parallel};
  };
  source.plan = doctor::plan_in_child;
  return doctor::examine_models(std::move(source), budget);
}

Result<void> run(bool json) {
  Asked asked = ask_version();
  std::vector<Finding> all = {{"client", Status::kOk, "quipu " QUIPU_VERSION, {}}, std::move(asked.finding)};
  const auto add = [&](std::vector<Finding> more) {
    for (Finding& f : more) all.push_back(std::move(f));
  };
  if (!add_findings_of_server(all)) {
    const auto config = server::Config::from_environment();
    add(server::examine_settings(config));
    add(doctor::examine_processor());
    const memory::Machine machine = memory::probe_machine({.bounds = config.memory});
    add(doctor::examine_memory(machine));
    all.push_back(doctor::examine_store(store::default_root()));
    if (auto models = model_findings(machine.budget(), config))
      add(std::move(*models));
    else
      all.push_back({"models", Status::kError, models.error().message, "correct that"});
    if (server_is_here() && !config.host.endpoint.is_unix())
      all.push_back(doctor::examine_port(config.host.endpoint.port, asked.serves));
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

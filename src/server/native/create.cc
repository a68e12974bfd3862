// /api/create: from the request to the store's pipeline, whose progress becomes the answer. Spec:
// ollama-compat 1.13.
#include "store/create.h"

#include "base/log.h"
#include "server/native/handlers.h"
#include "server/native/messages.h"
#include "server/native/prepare.h"
#include "server/request_body.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

struct Input {
  store::CreateRequest request;
  bool stream = true;
};

Result<std::optional<store::CreateRequest::Files>> read_files(const Fields& f, const char* name) {
  QUIPU_ASSIGN(const Json* object, f.object(name, "map[string]string"));
  if (object == nullptr) return std::optional<store::CreateRequest::Files>();
  store::CreateRequest::Files files;
  for (const auto& [path, digest] : object->items()) {
    if (!digest.is_string() && !digest.is_null()) return f.wrong_type(digest, name, "string");
    files[path] = digest.is_null() ? std::string() : digest.get<std::string>();
  }
  return files;
}

Result<Input> read_input(const Fields& f) {
  Input in;
  store::CreateRequest& r = in.request;
  QUIPU_ASSIGN(r.model, f.text("model", "name"));
  QUIPU_ASSIGN(in.stream, f.flag("stream", true));
  QUIPU_ASSIGN(r.from, f.text("from"));
  QUIPU_ASSIGN(r.files, read_files(f, "files"));
  QUIPU_ASSIGN(r.adapters, read_files(f, "adapters"));
  QUIPU_ASSIGN(r.draft_files, read_files(f, "draft_files"));
  QUIPU_ASSIGN(r.template_text, f.text("template"));
  QUIPU_ASSIGN(r.system, f.text("system"));
  QUIPU_ASSIGN(r.renderer, f.text("renderer"));
  QUIPU_ASSIGN(r.parser, f.text("parser"));
  QUIPU_ASSIGN(r.requires_version, f.text("requires"));
  QUIPU_ASSIGN(r.quantize, f.text("quantize", "quantization"));
  QUIPU_ASSIGN(r.draft_quantize, f.text("draft_quantize"));
  if (const Json* license = f.find("license")) {
    if (license->is_string()) {
      r.licenses = {license->get<std::string>()};
    } else {
      QUIPU_ASSIGN(r.licenses, f.texts("license"));
    }
  }
  QUIPU_ASSIGN(const Json* parameters, f.object("parameters", "map[string]interface {}"));
  if (parameters != nullptr) r.parameters = as_map(*parameters);
  QUIPU_ASSIGN(const Json messages, read_messages(f));
  if (!messages.empty()) r.messages = nlohmann::json(messages);
  QUIPU_ASSIGN(const Json* info, f.object("info", "map[string]interface {}"));
  if (info != nullptr) r.info = as_map(*info);
  return in;
}

Json progress_json(const store::CreateProgress& p) {
  Json line = {{"status", p.status}};
  if (!p.digest.empty()) {
    line["digest"] = p.digest;
    if (p.total > 0) line["total"] = p.total;
    if (p.completed > 0) line["completed"] = p.completed;
  }
  return line;
}

void run(Service& service, const ReplyPtr& reply, const Input& in) {
  store::CreateHooks hooks;
  hooks.cancelled = [&] { return reply->gone(); };
  if (in.stream) hooks.progress = [&](const store::CreateProgress& p) { reply->line(progress_json(p)); };
  const auto made = store::create_model(service.store(), in.request, hooks);
  if (!made) {
    const int status = made.error().code == Code::kInvalidArgument ? 400 : 500;
    // Before the first line the answer is whole, and of the type that Ollama gives it here.
    if (!reply->started()) return reply->json(status, {{"error", made.error().message}}, "application/json");
    return reply->error_line(status, made.error().message);
  }
  if (!in.stream) return reply->json(200, {{"status", "success"}}, "application/json");
  reply->finish();
}

}  // namespace

void create(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "CreateRequest");
  if (!body) return reply->error(400, body.error().message);
  auto in = read_input(Fields(*body, "CreateRequest"));
  if (!in) return reply->error(400, in.error().message);
  if (const auto good = store::check_request(in->request); !good)
    return reply->error(400, good.error().message);
  service.files().post([&service, reply, in = std::move(*in)] {
    if (!reply->gone()) run(service, reply, in);
  });
}

}  // namespace quipu::server::native

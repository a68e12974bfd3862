// /api/pull and /api/push: what is checked before a registry is asked. Spec: ollama-compat 1.17.
#include "server/native/handlers.h"
#include "server/native/prepare.h"
#include "server/request_body.h"
#include "server/service.h"

namespace quipu::server::native {

void pull(Service&, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "PullRequest");
  if (!body) return reply->error(400, body.error().message);
  const auto name = Fields(*body, "PullRequest").text("model", "name");
  if (!name) return reply->error(400, name.error().message);
  const auto reference = parse_model_reference(*name);
  if (!reference || !reference->name.is_valid()) return reply->error(400, "invalid model name");
  reply->error(501, "pulling models from a registry is not supported yet: create the model from a GGUF file");
}

void push(Service&, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "PushRequest");
  if (!body) return reply->error(400, body.error().message);
  const auto name = Fields(*body, "PushRequest").text("model", "name");
  if (!name) return reply->error(400, name.error().message);
  if (name->empty()) return reply->error(400, "model is required");
  const auto reference = parse_model_reference(*name);
  if (!reference || !reference->name.is_valid()) return reply->error(400, "invalid model name");
  reply->error(501, "pushing models to a registry is not supported yet");
}

}  // namespace quipu::server::native

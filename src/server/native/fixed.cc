// What is answered without looking anywhere.
#include "server/native/handlers.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

constexpr int kQuipuApi = 1;  // raised when a field or route of ours changes its meaning

}  // namespace

void root(Service&, const ReplyPtr& reply, Parameter) {
  reply->text(200, "Ollama is running", "text/plain; charset=utf-8");
}

void version(Service&, const ReplyPtr& reply, Parameter) {
  reply->json(200, {{"version", kOllamaApi}, {"quipu", {{"version", QUIPU_VERSION}, {"api", kQuipuApi}}}});
}

void status(Service&, const ReplyPtr& reply, Parameter) {
  reply->json(200, {{"cloud", {{"disabled", true}, {"source", "env"}}}});
}

void health(Service&, const ReplyPtr& reply, Parameter) { reply->json(200, {{"status", "ok"}}); }

void me(Service&, const ReplyPtr& reply, Parameter) { reply->error(503, "account unavailable"); }

void web_search(Service&, const ReplyPtr& reply, Parameter) {
  reply->error(403, "ollama cloud is disabled: web search is unavailable");
}

void web_fetch(Service&, const ReplyPtr& reply, Parameter) {
  reply->error(403, "ollama cloud is disabled: web fetch is unavailable");
}

// In the form that OpenAI's clients show to their users.
void other_dialect(Service&, const ReplyPtr& reply, Parameter) {
  reply->json(501, {{"error",
                     {{"message", "OpenAI's and Anthropic's interfaces are not supported yet: use /api/chat"},
                      {"type", "api_error"},
                      {"param", nullptr},
                      {"code", nullptr}}}});
}

}  // namespace quipu::server::native

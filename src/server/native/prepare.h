// What every request to a model needs before it runs: the model's facts, its options merged with the
// request's, and the job that the fleet gets. Spec: ollama-compat 1.3.1, 1.4, 1.19.
//
// Threads: pure functions but for the store they read.
#pragma once

#include <memory>
#include <string>

#include "fleet/fleet.h"
#include "modelfile/model_name.h"
#include "server/keep_alive.h"
#include "server/reply.h"
#include "store/model_info.h"

namespace quipu::server {

class Service;

namespace native {

// An answer in the making that has failed: the status and the sentence.
struct Refusal {
  int status = 500;
  std::string sentence;
  const char* type = "application/json; charset=utf-8";
};
template <class T>
using Checked = std::expected<T, Refusal>;
[[nodiscard]] std::unexpected<Refusal> refuse(int status, std::string sentence);
void answer(Reply& reply, const Refusal& refusal);

// How the endpoints differ in what they say of names.
struct NameErrors {
  int empty_status = 400;
  std::string empty = "model is required";
  // Of a model that is not there; {} is the name as the client wrote it.
  std::string missing = "model '{}' not found";
};

using Info = std::shared_ptr<const store::ModelInfo>;

// The model that a name stands for.
Checked<Info> find_model(Service& service, const std::string& name, const NameErrors& errors);

struct Options {
  Json values = Json::object();  // by public name; what the runner gets
  int64_t num_ctx = 0;           // 0: the runner's own
  // It comes from the model or the settings: a runner takes as much of it as the budget can hold, and it is
  // not among the values.
  bool num_ctx_is_default = true;
  std::string kv_cache_type;  // empty: the runner's own
  double max_seconds = 0;     // from the request's arrival; 0: no limit
};
// The model's options under the request's. Wrong types are a 500, as in Ollama, those and other bad values of
// our own options a 400; unknown names are logged. Null: there is no request that anything could be wrong
// with.
Checked<Options> merge_options(Service& service, const store::ModelInfo& model, const Json* request_options);

fleet::ModelRef model_ref(const Service& service, const store::ModelInfo& model);

// Runs `work` at the model's runner; every failure becomes the reply's answer. The request ends when its
// client hangs up. Light: fleet::Job::light. The others wait no longer than the options' max_seconds; then
// too_late answers, or where there is none a 503.
void run_job(Service& service, const ReplyPtr& reply, const Info& model, KeepAlive keep_alive,
             const Options& options, bool light, std::function<void(fleet::Lease& lease)> work,
             std::function<void()> too_late = {});

// A num_ctx that nobody asked for with the request.
void set_default_context(Json& runner_body, const Options& options);

// What is left of the options' max_seconds now, for a runner, which counts from when it is asked.
void set_time_left(Json& runner_options, const Options& options, const Reply& reply);

// A failure of the fleet or of a runner: whole answer, or the last line of a stream.
// in_stream: Ollama's stream would have been open already, which the type of a whole answer tells.
void answer_failure(Reply& reply, const fleet::Failure& failure, bool in_stream = false);

// What the runner renders prompts with: {"kind":"go","text":"…"}; null: the file's own Jinja template, else
// ChatML.
Json template_in_use(const store::ModelInfo& model);

}  // namespace native
}  // namespace quipu::server

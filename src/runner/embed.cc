#include "runner/embed.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <mutex>
#include <set>

#include "runner/respond.h"

namespace quipu::runner {

namespace {

// Numbers of one answer: 128 MiB as JSON at most. More inputs come in more requests.
constexpr uint64_t kMaxNumbers = 8u << 20;

Result<std::vector<std::string>> read_texts(const Json& body) {
  const Json& input = field(body, "input");
  if (input.is_null()) return std::vector<std::string>();
  if (input.is_string()) return std::vector{input.get<std::string>()};
  std::vector<std::string> texts;
  if (!input.is_array()) return error(Code::kInvalidArgument, "\"input\" must be an array of strings");
  for (const Json& text : input) {
    if (!text.is_string()) return error(Code::kInvalidArgument, "\"input\" must be an array of strings");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

void divide_by_length(std::vector<float>& values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * v;
  const double length = std::max(std::sqrt(sum), 1e-12);
  for (float& v : values) v = static_cast<float>(v / length);
}

// One request at work.
class Job : public std::enable_shared_from_this<Job> {
 public:
  Job(LoadedModel& model, std::shared_ptr<WorkQueue> queue, std::shared_ptr<http::Exchange> exchange,
      EmbedInputs inputs)
      : engine_(model.engine()),
        queue_(std::move(queue)),
        exchange_(std::move(exchange)),
        inputs_(std::move(inputs)),
        vectors_(inputs_.tokens.size()) {
    for (const auto& t : inputs_.tokens) n_tokens_ += static_cast<int64_t>(t.size());
  }

  Result<void> start() {
    Result<void> first;
    {
      const std::lock_guard lock(mutex_);
      first = submit_more();
      if (!first) failed_ = true;  // the caller answers
    }
    if (!first) {
      cancel_rest();
      return first;
    }
    exchange_->on_gone([job = shared_from_this()] { job->fail({Code::kCancelled, "", {}}); });
    answer_if_done();
    return {};
  }

 private:
  // As many at a time as may run: others' requests find their places in between.
  Result<void> submit_more() {
    const auto most = static_cast<size_t>(engine_.options().n_parallel);
    while (!failed_ && next_ < inputs_.tokens.size() && next_ - n_done_ < most) {
      EmbedRequest request;
      request.tokens = std::move(inputs_.tokens[next_]);
      request.limits.n_ctx = inputs_.n_ctx;
      request.limits.max_seconds = inputs_.max_seconds;
      request.limits.since = inputs_.since;
      request.on_done = [job = shared_from_this(), at = next_](Result<std::vector<float>> r) {
        job->done(at, std::move(r));
      };
      QUIPU_ASSIGN(const uint64_t id, engine_.submit(std::move(request)));
      ids_.insert(id);
      ++next_;
    }
    return {};
  }

  void done(size_t at, Result<std::vector<float>> result) {
    if (!result) return fail(std::move(result).error());
    Result<void> more;
    {
      const std::lock_guard lock(mutex_);
      vectors_[at] = std::move(*result);
      ++n_done_;
      more = submit_more();
    }
    if (!more) return fail(more.error());
    answer_if_done();
  }

  void fail(const Error& e) {
    {
      const std::lock_guard lock(mutex_);
      if (failed_ || answered_) return;
      failed_ = true;
    }
    cancel_rest();
    respond_error(*exchange_, e);  // nobody hears it where the client has gone
  }

  void cancel_rest() {
    std::set<uint64_t> ids;
    {
      const std::lock_guard lock(mutex_);
      ids.swap(ids_);
    }
    for (const uint64_t id : ids) engine_.cancel(id);
  }

  void answer_if_done() {
    {
      const std::lock_guard lock(mutex_);
      if (failed_ || answered_ || n_done_ < vectors_.size()) return;
      answered_ = true;
    }
    // Not on the engine's thread: a million numbers take a while to write.
    queue_->post([job = shared_from_this()](WorkQueue::Place&) { job->answer(); });
  }

  void answer() {
    std::string body = "{\"embeddings\":[";
    for (std::vector<float>& v : vectors_) {
      if (const auto shaped = shape_embedding(v, inputs_.normalise, inputs_.dimensions); !shaped)
        return respond_error(*exchange_, shaped.error());
      body += &v == vectors_.data() ? "[" : ",[";
      for (size_t i = 0; i < v.size(); ++i)
        fmt::format_to(std::back_inserter(body), "{}{}", i == 0 ? "" : ",", v[i]);
      body += ']';
      v = {};
    }
    fmt::format_to(std::back_inserter(body), "],\"prompt_tokens\":{}}}\n", n_tokens_);
    const bool large = body.size() > (1 << 20);
    exchange_->respond({.status = 200,
                        .headers = {{"Content-Type", "application/json; charset=utf-8"}},
                        .body = std::move(body)});
    if (large) malloc_trim(0);
  }

  Engine& engine_;
  const std::shared_ptr<WorkQueue> queue_;
  const std::shared_ptr<http::Exchange> exchange_;

  std::mutex mutex_;  // guards what follows, until it is answered
  EmbedInputs inputs_;
  std::vector<std::vector<float>> vectors_;
  int64_t n_tokens_ = 0;
  std::set<uint64_t> ids_;
  size_t next_ = 0, n_done_ = 0;
  bool failed_ = false, answered_ = false;
};

}  // namespace

Result<std::vector<Token>> encode_for_embedding(const Tokenizer& tok, const std::string& text, int64_t n_ctx,
                                                bool may_truncate) {
  const SpecialTokens& special = tok.special();
  const std::optional<Token> bos = special.add_bos ? special.bos : std::nullopt;
  const std::optional<Token> eos = special.add_eos ? special.eos : std::nullopt;
  std::vector<Token> ids = tok.encode_start(text, false, true, static_cast<size_t>(n_ctx));
  const bool adds_bos = bos && (ids.empty() || ids.front() != *bos);
  const bool adds_eos = eos && (ids.empty() || ids.back() != *eos);
  const int64_t most = n_ctx - adds_bos - adds_eos;
  if (static_cast<int64_t>(ids.size()) > most) {
    if (!may_truncate) return error(Code::kInvalidArgument, "the input length exceeds the context length");
    if (most <= 0)
      return error(Code::kInvalidArgument, "input after truncation exceeds maximum context length");
    ids.resize(static_cast<size_t>(most));
  }
  if (adds_bos) ids.insert(ids.begin(), *bos);
  if (adds_eos) ids.push_back(*eos);
  if (ids.empty()) return error(Code::kInvalidArgument, "an input has no tokens");
  return ids;
}

Result<EmbedInputs> read_embed_inputs(const LoadedModel& model, const Json& body, Patience& patience) {
  QUIPU_ASSIGN(const Tokenizer* tok, model.need_tokenizer());
  EmbedInputs in;
  QUIPU_ASSIGN(const std::vector<std::string> texts, read_texts(body));
  QUIPU_ASSIGN(const bool may_truncate, flag_field(body, "truncate", true));
  QUIPU_ASSIGN(in.normalise, flag_field(body, "normalise", true));
  QUIPU_ASSIGN(in.dimensions, integer_field(body, "dimensions", 0, 0, INT64_MAX));
  QUIPU_ASSIGN(const int64_t asked, integer_field(body, "num_ctx", 0, 0, INT64_MAX));
  QUIPU_ASSIGN(const int64_t by_default, integer_field(body, "default_num_ctx", 0, 0, INT64_MAX));
  const int64_t trained = model.model().n_ctx_train();
  in.n_ctx = std::min(asked > 0 ? asked : model.default_context({}, std::min(by_default, trained)), trained);
  if (const Json& seconds = field(body, "max_seconds"); !seconds.is_null()) {
    if (!seconds.is_number() || seconds.get<double>() < 0)
      return error(Code::kInvalidArgument, "\"max_seconds\" must be a number that is not negative");
    in.max_seconds = seconds.get<double>();
  }
  const auto n_embd = static_cast<uint64_t>(model.model().n_embd());
  if (texts.size() > std::max<uint64_t>(kMaxNumbers / n_embd, 1))
    return error(Code::kInvalidArgument, "{} inputs are too many for one request; {} are possible",
                 texts.size(), std::max<uint64_t>(kMaxNumbers / n_embd, 1));
  for (const std::string& text : texts) {
    if (patience.gone()) return error(Code::kCancelled, "the client has hung up");
    QUIPU_ASSIGN(std::vector<Token> ids, encode_for_embedding(*tok, text, in.n_ctx, may_truncate));
    in.tokens.push_back(std::move(ids));
  }
  return in;
}

Result<void> shape_embedding(std::vector<float>& values, bool normalise, int64_t dimensions) {
  for (const float v : values)
    if (!std::isfinite(v)) return error(Code::kInvalidArgument, "embedding contains NaN or Inf values");
  if (normalise) divide_by_length(values);
  if (dimensions <= 0 || dimensions >= static_cast<int64_t>(values.size())) return {};
  values.resize(static_cast<size_t>(dimensions));
  if (normalise) divide_by_length(values);
  return {};
}

Result<void> start_embedding(LoadedModel& model, std::shared_ptr<WorkQueue> queue,
                             std::shared_ptr<http::Exchange> exchange, EmbedInputs inputs) {
  return std::make_shared<Job>(model, std::move(queue), std::move(exchange), std::move(inputs))->start();
}

}  // namespace quipu::runner

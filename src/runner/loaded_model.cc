#include "runner/loaded_model.h"

#include <algorithm>

#include "base/checked.h"
#include "base/log.h"
#include "base/units.h"
#include "kernels/dispatch.h"
#include "model/plan_choices.h"
#include "runner/kv_types.h"

namespace quipu::runner {

namespace {

// Tokens that the file says are never to be sampled.
std::vector<Token> suppressed_tokens(const gguf::File& file, int64_t n_vocab) {
  constexpr std::string_view kKey = "tokenizer.ggml.suppress_tokens";
  std::vector<Token> tokens;
  const auto array = file.array(kKey);
  if (!array || !*array) return tokens;
  const auto ids = (*array)->as_ints();
  for (const int64_t id : ids.value_or(std::vector<int64_t>()))
    if (id >= 0 && id < n_vocab) tokens.push_back(static_cast<Token>(id));
  if (tokens.size() < (*array)->size())
    spdlog::warn("{}: what is no token of the vocabulary is ignored", kKey);
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

// A plan with a KV cache of which nothing is in use yet.
memory::MemoryPlan with_kv(memory::MemoryPlan plan, uint64_t bytes, const std::string& why) {
  for (memory::PlanLine& line : plan.lines)
    if (line.category == memory::Category::kKv) line = {line.category, bytes, why};
  return plan;
}

}  // namespace

// Mapped, so that what a model with images takes is known and counted from its load on; nothing reads them
// yet.
Result<void> LoadedModel::open_projectors(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    QUIPU_ASSIGN(auto file, gguf::File::open(path));
    projectors_.push_back(std::move(file));
  }
  return {};
}

uint64_t LoadedModel::projector_bytes() const {
  uint64_t sum = 0;
  for (const auto& file : projectors_) sum = checked_add(sum, file->mapped_bytes()).value_or(UINT64_MAX);
  return sum;
}

// With the settings of whoever waits for it where a model's own can never be held.
void LoadedModel::plan(LoadOptions& options, const memory::Machine& machine) {
  const auto of = [&](const LoadOptions& o) {
    return plan_model(*file_, *model_, o, machine, projector_bytes());
  };
  planned_ = of(options);
  if (options.n_ctx_is_default && options.n_ctx > 0 && planned_.wanted_n_ctx > planned_.options.n_ctx)
    spdlog::warn("of the default num_ctx, {}, the budget holds {}", options.n_ctx, planned_.options.n_ctx);
  if (options.wish.empty() || memory::charge(planned_.plan, planned_.options) <= machine.budget()) return;
  spdlog::info("a KV cache of {} tokens, {}, does not fit: planned as it was asked for",
               planned_.options.n_ctx, planned_.kv_type);
  if (options.wish.n_ctx > 0) options.n_ctx = options.wish.n_ctx;
  if (options.wish.kv_types) options.kv_types = *options.wish.kv_types;
  planned_ = of(options);
}

std::expected<std::unique_ptr<LoadedModel>, LoadFailure> LoadedModel::load(const std::string& path,
                                                                           const LoadOptions& wanted) {
  LoadOptions options = wanted;
  QUIPU_TRY(kernels::init());
  gguf::guard_mappings();
  std::unique_ptr<LoadedModel> m(new LoadedModel());
  QUIPU_ASSIGN(m->file_, gguf::File::open(path));
  QUIPU_ASSIGN(m->model_, load_model(*m->file_));
  QUIPU_TRY(m->open_projectors(options.projectors));

  if (options.budget_slot) {
    QUIPU_ASSIGN(m->budget_, memory::ModelBudget::inherited(*options.budget_slot));
  } else {
    QUIPU_ASSIGN(m->budget_, memory::ModelBudget::alone(options.bounds));
  }
  const memory::Machine machine = m->budget_->machine();
  m->budget_at_load_ = machine.budget();
  m->plan(options, machine);
  const Planned& p = m->planned_;
  const uint64_t fixed = p.plan.fixed();
  if (memory::fits(p.plan, p.options, p.free) == memory::Fit::kNo ||
      !m->budget_->admit(fixed, memory::charge(p.plan, p.options) - fixed))
    return std::unexpected(m->does_not_fit(path, machine));

  if (auto tokenizer = Tokenizer::load(*m->file_))
    m->tokenizer_ = std::move(*tokenizer);
  else
    m->tokenizer_error_ = tokenizer.error().message;

  QUIPU_ASSIGN(m->pool_, ThreadPool::create(p.n_threads));
  const memory::ModelShape shape = m->model_->shape(p.n_threads);
  QUIPU_ASSIGN(m->workspace_,
               memory::Arena::create(shape.workspace_bytes, memory::Category::kWorkspace, m->ledger_));
  QUIPU_ASSIGN(m->output_, memory::Arena::create(p.plan.bytes(memory::Category::kOutput),
                                                 memory::Category::kOutput, m->ledger_));
  QUIPU_ASSIGN(auto workspace, m->model_->make_workspace(m->workspace_, p.n_threads));
  const std::span output(m->output_.take(p.plan.bytes(memory::Category::kOutput)),
                         p.plan.bytes(memory::Category::kOutput));
  QUIPU_TRY(m->file_->populate());
  m->ledger_.add(memory::Category::kWeights, m->file_->mapped_bytes());
  for (const auto& file : m->projectors_) QUIPU_TRY(file->populate());
  m->ledger_.add(memory::Category::kProjector, m->projector_bytes());

  EngineOptions engine;
  engine.n_ctx = p.options.n_ctx;
  engine.n_parallel = p.options.n_parallel;
  engine.kv_types = options.kv_types;
  engine.suppressed = suppressed_tokens(*m->file_, m->model_->n_vocab());
  engine.keep_prefixes = options.keep_prefixes;
  engine.idle_trim_seconds = options.idle_trim_seconds;
  memory::ModelBudget* budget = m->budget_.get();
  engine.kv_room = [budget] { return budget->room(); };
  engine.kv_hold = [budget](uint64_t bytes) { return budget->hold(bytes); };
  engine.kv_ask = [budget](uint64_t bytes) { return budget->ask(bytes); };
  engine.kv_give_way = [budget](uint64_t bytes) { return budget->give_way(bytes); };
  engine.kv_back = [budget] { return budget->come_back(); };
  engine.on_preemption = [budget] { budget->count_preemption(); };
  QUIPU_ASSIGN(m->engine_, Engine::create(*m->model_, m->tokenizer_.get(), *m->pool_, std::move(workspace),
                                          output, engine, m->ledger_));
  spdlog::info("loaded {}: {} {}, num_ctx {}, parallel {}, KV {}, {} threads, {}, planned {}", path,
               m->model_->architecture(), quantization_name(*m->file_), p.options.n_ctx, p.options.n_parallel,
               p.kv_type, p.n_threads, isa_name(kernels::active_isa()), format_bytes(p.plan.total()));
  return m;
}

Result<const Tokenizer*> LoadedModel::need_tokenizer() const {
  if (tokenizer_ == nullptr)
    return error(Code::kUnsupported, "this model's tokenizer cannot be used: {}", tokenizer_error_);
  return tokenizer_.get();
}

LoadFailure LoadedModel::does_not_fit(const std::string& path, const memory::Machine& machine) const {
  const Planned& p = planned_;
  const auto others = alternatives(*file_, p);
  LoadFailure failure(
      {Code::kOutOfMemory, memory::refusal(p.plan, p.options, machine, memory::advice(others)), path});
  failure.plan = {{"memory", plan_json(p)},
                  {"machine", machine_json(machine)},
                  {"charge", memory::charge(p.plan, p.options)},
                  {"fits", "no"},
                  {"alternatives", alternatives_json(others)}};
  const std::string room =
      fmt::format("room for a first sequence of {} tokens", memory::first_tokens(p.options));
  failure.table = memory::plan_lines(
                      with_kv(p.plan, memory::charge(p.plan, p.options) - p.plan.fixed(), room), p.options) +
                  memory::alternatives_table(others);
  return failure;
}

Planned LoadedModel::planned_with(const Types& asked, int64_t n_tokens) const {
  const KvTypes types = asked.value_or(engine_->options().kv_types);
  Planned p = planned_;
  p.kv_type = kv_types_name(types);
  p.options.k_bytes_per_32 = kernels::kv_bytes_per_32(types.k);
  p.options.v_bytes_per_32 = kernels::kv_bytes_per_32(types.v);
  p.options.n_ctx = p.options.tokens_in_use = n_tokens;
  p.plan = memory::plan(p.shape, p.options);
  return p;
}

// A shorter context, and the first cache type with which this one fits.
LoadFailure LoadedModel::too_long(const Planned& p, const memory::Machine& machine, uint64_t wanted,
                                  uint64_t room) {
  auto others = nlohmann::ordered_json::array();
  std::string advice;
  const auto add = [&](Planned other, const char* name, const std::string& value) {
    other.options.tokens_in_use = 0;
    other.plan = memory::plan(other.shape, other.options);
    others.push_back({{"change", fmt::format("{}={}", name, value)},
                      {"total", other.plan.fixed() + other.plan.kv_of_sequence(other.options.n_ctx)},
                      {"fits", memory::fit_name(memory::fits(other.plan, other.options, machine.budget()))}});
    advice += fmt::format("{}{} {}", advice.empty() ? ": try " : ", or ", name, value);
  };
  if (const int64_t tokens = p.plan.tokens_within(room); tokens > 0) {
    Planned shorter = p;
    shorter.options.n_ctx = tokens;
    add(std::move(shorter), "num_ctx", std::to_string(tokens));
  }
  for (const memory::Choices::Kv& kv : kv_choices()) {
    Planned smaller = p;
    smaller.options.k_bytes_per_32 = kv.k_bytes_per_32;
    smaller.options.v_bytes_per_32 = kv.v_bytes_per_32;
    if (memory::plan(p.shape, smaller.options).kv_of_sequence(p.options.n_ctx) > room) continue;
    add(std::move(smaller), "kv_cache_type", kv.name);
    break;
  }
  LoadFailure failure({Code::kOutOfMemory,
                       fmt::format("{} tokens need a KV cache of {}, and the budget has room for {}{}",
                                   p.options.n_ctx, format_bytes(wanted), format_bytes(room), advice),
                       {}});
  failure.plan = {{"memory", plan_json(p)},
                  {"machine", machine_json(machine)},
                  {"charge", p.plan.total()},
                  {"fits", "no"},
                  {"alternatives", std::move(others)}};
  failure.table = memory::plan_lines(
      with_kv(p.plan, wanted, fmt::format("room for {} tokens", p.options.n_ctx)), p.options);
  return failure;
}

int64_t LoadedModel::default_context(const Types& types, int64_t n_ctx) const {
  return longest_context(planned_with(types, n_ctx > 0 ? n_ctx : planned_.wanted_n_ctx), budget_at_load_);
}

std::expected<void, LoadFailure> LoadedModel::check_room(const Types& types, int64_t n_tokens) const {
  const Planned p = planned_with(types, n_tokens);
  // What others hold can be had, as long as the budget holds it.
  const memory::Machine machine = budget_->machine();
  const uint64_t room = p.kv_room(machine.budget()), wanted = p.plan.kv_of_sequence(p.options.n_ctx);
  if (wanted <= room) return {};
  return std::unexpected(too_long(p, machine, wanted, room));
}

nlohmann::ordered_json LoadedModel::memory() const {
  const Engine::KvUse use = engine_->kv_use();
  std::vector<std::string> projectors;
  for (const auto& file : projectors_)
    for (std::string& path : file->paths()) projectors.push_back(std::move(path));
  return memory_json(planned_, measure(file_->paths(), projectors), ledger_,
                     {use.in_use, use.cached, use.planned});
}

nlohmann::ordered_json LoadedModel::info() const {
  const auto text = [&](std::string_view key) -> std::string {
    auto v = file_->string(key);
    return v && *v ? std::string(**v) : std::string();
  };
  nlohmann::ordered_json out = {
      {"architecture", model_->architecture()},  {"name", text("general.name")},
      {"parameters", count_parameters(*file_)},  {"quantization", quantization_name(*file_)},
      {"n_ctx_train", model_->n_ctx_train()},    {"num_ctx", planned_.options.n_ctx},
      {"parallel", planned_.options.n_parallel}, {"n_vocab", model_->n_vocab()},
      {"embedding_length", model_->n_embd()},    {"file_bytes", file_->mapped_bytes()},
      {"tokenizer", tokenizer_ != nullptr},      {"isa", isa_name(kernels::active_isa())},
      {"threads", planned_.n_threads},           {"kv_cache_type", planned_.kv_type}};
  if (!tokenizer_error_.empty()) out["tokenizer_error"] = tokenizer_error_;
  if (std::string t = text("tokenizer.chat_template"); !t.empty()) out["chat_template"] = std::move(t);
  if (std::string l = text("general.license"); !l.empty()) out["license"] = std::move(l);
  return out;
}

}  // namespace quipu::runner

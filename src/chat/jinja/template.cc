// The border of the interpreter: nothing thrown inside gets past it.
#include <new>

#include "chat/jinja.h"
#include "chat/jinja/binder.h"
#include "chat/jinja/interp.h"
#include "chat/jinja/parser.h"

namespace quipu::jinja {

struct Template::Impl {
  Limits limits;
  std::unique_ptr<Program> program;
};

namespace {

std::unexpected<Error> to_error(const Failure& f, int line) {
  if (f.fault == Fault::kRaised) return std::unexpected(Error{Code::kInvalidArgument, f.message, {}});
  const int at = f.line > 0 ? f.line : line;
  return error(Code::kCorrupt, "the chat template fails in line {}: {}", at > 0 ? at : 1, f.message);
}

}  // namespace

Template::Template(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view source, const Limits& limits) {
  if (source.size() > limits.max_template_bytes)
    return error(Code::kCorrupt, "the chat template has {} bytes; more than {} are refused", source.size(),
                 limits.max_template_bytes);
  Budget budget(limits, limits.max_depth);
  try {
    auto impl = std::make_unique<Impl>();
    impl->limits = limits;
    impl->program = parse_program(source, budget);
    bind_program(*impl->program, budget);
    return Template(std::move(impl));
  } catch (const Failure& f) {
    return to_error(f, 0);
  } catch (const std::bad_alloc&) {
    return error(Code::kOutOfMemory, "no memory for the chat template");
  } catch (const std::exception& e) {
    return error(Code::kInternal, "the chat template cannot be read: {}", e.what());
  }
}

Result<std::string> Template::render(const nlohmann::ordered_json& context, int64_t now_unix,
                                     const std::function<bool()>& stop) const {
  int line = 0;
  try {
    Budget budget(impl_->limits, impl_->limits.max_render_depth, StopQuestion(stop));
    Interp interp(*impl_->program, budget, now_unix);
    try {
      return interp.run(context);
    } catch (const Failure&) {
      line = interp.line();
      throw;
    }
  } catch (const Failure& f) {
    return to_error(f, line);
  } catch (const std::bad_alloc&) {
    return error(Code::kOutOfMemory, "no memory to render the chat template");
  } catch (const std::exception& e) {
    return error(Code::kInternal, "the chat template cannot be rendered: {}", e.what());
  }
}

}  // namespace quipu::jinja

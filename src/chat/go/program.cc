// The border of the interpreter: nothing thrown inside gets past it.
#include "chat/go/program.h"

#include <exception>
#include <new>

#include "chat/go/interp.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

std::unexpected<Error> corrupt(std::string_view message) {
  return std::unexpected(Error{Code::kCorrupt, to_valid_utf8(message), {}});
}

// Runs what may throw.
template <class F>
auto guarded(const char* doing, F work) -> decltype(work()) {
  try {
    return work();
  } catch (const Failure& f) {
    return corrupt(f.message);
  } catch (const std::bad_alloc&) {
    return error(Code::kOutOfMemory, "no memory to {} the template", doing);
  } catch (const std::exception& e) {
    return error(Code::kInternal, "cannot {} the template: {}", doing, e.what());
  }
}

}  // namespace

Result<Program> Program::parse(std::string_view source, const Limits& limits) {
  if (source.size() > limits.max_template_bytes)
    return error(Code::kCorrupt, "the template has {} bytes; more than {} are refused", source.size(),
                 limits.max_template_bytes);
  return guarded("parse", [&]() -> Result<Program> { return Program(limits, source, parse_source(source)); });
}

Program Program::with_definitions(Definitions definitions) const {
  Program other = *this;
  other.definitions_ = std::make_shared<const Definitions>(std::move(definitions));
  return other;
}

Result<void> Program::execute(const Value& data, int64_t now_unix, std::string& out) const {
  Budget budget(limits_);
  return execute(data, now_unix, out, budget);
}

Result<void> Program::execute(const Value& data, int64_t now_unix, std::string& out, Budget& budget) const {
  return guarded("execute", [&]() -> Result<void> {
    Interp(*source_, *definitions_, budget, now_unix, out).run(*root(), data);
    return {};
  });
}

}  // namespace quipu::gotmpl

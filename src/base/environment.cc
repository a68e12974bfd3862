#include "base/environment.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/units.h"

namespace quipu {

namespace {

std::string_view without(std::string_view text, std::string_view around) {
  const size_t first = text.find_first_not_of(around);
  return first == text.npos ? std::string_view()
                            : text.substr(first, text.find_last_not_of(around) - first + 1);
}

}  // namespace

bool Variable::on() const {
  for (const std::string_view off : {"0", "f", "F", "false", "FALSE", "False", "off", "no"})
    if (value == off) return false;
  return true;
}

Result<int64_t> Variable::whole_number(int64_t least, int64_t most) const {
  int64_t n = 0;
  const char* end = value.data() + value.size();
  const auto [stopped, ec] = std::from_chars(value.data(), end, n);
  if (ec == std::errc() && stopped == end && n >= least && n <= most) return n;
  return error(Code::kInvalidArgument, "{}={} is not a whole number between {} and {}", name, value, least,
               most);
}

Result<int64_t> Variable::duration_ns() const {
  QUIPU_ASSIGN(const int64_t ns, signed_duration_ns());
  if (ns >= 0) return ns;
  return error(Code::kInvalidArgument, "{}={} is negative; a duration such as 90, 90s or 1m30s is meant",
               name, value);
}

Result<int64_t> Variable::signed_duration_ns() const {
  double seconds = 0;
  const char* end = value.data() + value.size();
  const auto [stopped, ec] = std::from_chars(value.data(), end, seconds);
  if (ec == std::errc() && stopped == end && std::isfinite(seconds) && std::abs(seconds) < 9e9)
    return static_cast<int64_t>(seconds * 1e9);
  if (const auto ns = parse_duration_ns(value)) return *ns;
  return error(Code::kInvalidArgument, "{}={} is not a duration such as 90, 90s or 1m30s", name, value);
}

std::optional<Variable> environment(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* found = std::getenv(name);
    if (found == nullptr) continue;
    const std::string_view value = without(without(found, " \t\r\n\v\f"), "\"'");
    if (!value.empty()) return Variable{name, std::string(value)};
  }
  return std::nullopt;
}

std::optional<Variable> environment(const char* name) { return environment({name}); }

}  // namespace quipu

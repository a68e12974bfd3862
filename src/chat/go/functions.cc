#include "chat/go/functions.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <string>

#include "chat/go/chat_types.h"
#include "chat/go/compare.h"
#include "chat/go/elements.h"
#include "chat/go/escape.h"
#include "chat/go/json_text.h"
#include "chat/go/print.h"

namespace quipu::gotmpl {

namespace {

using Args = std::span<const Value>;

Value not_(Args args, const CallContext&) { return Value::boolean(!is_true(args[0])); }

Value call_(Args args, const CallContext& context) {
  const Value f = args[0].unboxed();
  if (!f.valid()) fail_call("call of nil");
  // No value is a function here.
  fail_call("non-function {} of type {}", context.first_name, f.type_name());
}

template <class Write>
Value printed(const CallContext& context, Write write) {
  std::string out;
  Printer printer(out, context.budget);
  write(printer);
  return Value::string(std::move(out), context.budget);
}

Value print(Args args, const CallContext& context) {
  return printed(context, [&](Printer& p) { p.print(args); });
}
Value println(Args args, const CallContext& context) {
  return printed(context, [&](Printer& p) { p.println(args); });
}
Value printf(Args args, const CallContext& context) {
  return printed(context, [&](Printer& p) { p.printf(args[0].as_string(), args.subspan(1)); });
}

// The arguments' text as the template itself would print them, escaped.
template <std::string (*kEscape)(std::string_view)>
Value escaped(Args args, const CallContext& context) {
  std::vector<Value> shown;
  for (const Value& arg : args) shown.push_back(printable(arg));
  std::string out;
  Printer(out, context.budget).print(shown);
  constexpr uint64_t kMostPerByte = 6;
  context.budget.grow(0, kMostPerByte * out.size());
  return Value::string(kEscape(out), context.budget);
}

Value json(Args args, const CallContext& context) {
  return Value::string(json_of(args[0], context.budget), context.budget);
}

// The day, counted back from now, by the clock on the wall.
Value date(const CallContext& context, int days_back) {
  const auto now = static_cast<std::time_t>(context.now_unix);
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) return Value::string("", context.budget);
  using namespace std::chrono;
  const sys_days today = year(local.tm_year + 1900) / (local.tm_mon + 1) / local.tm_mday;
  const year_month_day day = today - days(days_back);
  return Value::string(fmt::format("{:04d}-{:02d}-{:02d}", static_cast<int>(day.year()),
                                   static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day())),
                       context.budget);
}
Value current_date(Args, const CallContext& context) { return date(context, 0); }
Value yesterday_date(Args, const CallContext& context) { return date(context, 1); }

Value type_script_type(Args args, const CallContext& context) {
  return Value::string(typescript_type(args[0], context.budget), context.budget);
}

constexpr Param kValue = Param::kValue, kAny = Param::kAny, kString = Param::kString;

constexpr std::array<Function, 23> kFunctions = {{
    {"and", 1, true, kValue, kValue, nullptr},
    {"call", 1, true, kValue, kValue, call_},
    {"currentDate", 0, true, kString, kString, current_date},
    {"eq", 1, true, kValue, kValue, equal},
    {"ge", 2, false, kValue, kValue, greater_or_equal},
    {"gt", 2, false, kValue, kValue, greater},
    {"html", 0, true, kAny, kAny, escaped<escape_html>},
    {"index", 1, true, kValue, kValue, index},
    {"js", 0, true, kAny, kAny, escaped<escape_js>},
    {"json", 1, false, kAny, kAny, json},
    {"le", 2, false, kValue, kValue, less_or_equal},
    {"len", 1, false, kValue, kValue, length},
    {"lt", 2, false, kValue, kValue, less},
    {"ne", 2, false, kValue, kValue, not_equal},
    {"not", 1, false, kValue, kValue, not_},
    {"or", 1, true, kValue, kValue, nullptr},
    {"print", 0, true, kAny, kAny, print},
    {"printf", 1, true, kString, kAny, printf},
    {"println", 0, true, kAny, kAny, println},
    {"slice", 1, true, kValue, kValue, slice},
    {"toTypeScriptType", 1, false, kAny, kAny, type_script_type},
    {"urlquery", 0, true, kAny, kAny, escaped<escape_query>},
    {"yesterdayDate", 0, true, kString, kString, yesterday_date},
}};

}  // namespace

const Function* find_function(std::string_view name) {
  const auto* it =
      std::find_if(kFunctions.begin(), kFunctions.end(), [&](const Function& f) { return f.name == name; });
  return it == kFunctions.end() ? nullptr : it;
}

}  // namespace quipu::gotmpl

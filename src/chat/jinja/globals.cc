// Global functions.
#include <algorithm>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/format.h"
#include "chat/jinja/iterate.h"

namespace quipu::jinja {

namespace {

constexpr Int kMaxRange = 100'000;  // what Jinja's sandbox allows

Value range(Interp& interp, Bound& a) {
  const Int first = need_int(a[0], "range");
  const Int start = a.has(1) ? first : 0;
  const Int stop = a.has(1) ? need_int(a[1], "range") : first;
  const Int step = a.has(2) ? need_int(a[2], "range") : 1;
  if (step == 0) fail(Fault::kValue, "range() arg 3 must not be zero");
  constexpr Int kHuge = Int{1} << 100;
  if (start > kHuge || start < -kHuge || stop > kHuge || stop < -kHuge || step > kHuge || step < -kHuge)
    fail(Fault::kOverflow, "the integer is too large");
  Int length = 0;
  if (step > 0 && start < stop) length = (stop - start - 1) / step + 1;
  if (step < 0 && start > stop) length = (start - stop - 1) / -step + 1;
  if (length > kMaxRange)
    fail(Fault::kOverflow, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
  return Value::of(Kind::kRange, new Range(interp.heap(), start, stop, step, length));
}

// dict(), dict(mapping), dict(pairs), each with further names.
Value make_mapping(Interp& interp, Bound& a) {
  Heap& heap = interp.heap();
  Value out = make_dict(heap);
  auto& dict = out.as<Dict>();
  if (a.has(0)) {
    if (a[0].is(Kind::kDict)) {
      for (const auto& [key, value] : a[0].as<Dict>().entries()) dict.set(key, value);
    } else {
      for_each(heap, a[0], [&](const Value& pair) {
        const std::vector<Value> parts = unpack(heap, pair, 2);
        dict.set(parts[0], parts[1]);
      });
    }
  }
  for (const auto& [name, value] : a.rest.named) dict.set(make_string(heap, name), value);
  return out;
}

Value make_namespace(Interp& interp, Bound& a) {
  return Value::of(Kind::kNamespace, new Namespace(interp.heap(), make_mapping(interp, a)));
}

Value cycler(Interp& interp, Bound& a) {
  if (a.rest.positional.empty()) fail(Fault::kRuntime, "at least one item has to be provided");
  return Value::of(Kind::kCycler,
                   new Cycler(interp.heap(), make_tuple(interp.heap(), std::move(a.rest.positional))));
}

Value joiner(Interp& interp, Bound& a) {
  Value separator = a.has(0) ? a[0] : make_string(interp.heap(), ", ");
  return Value::of(Kind::kCallable, new Joiner(interp.heap(), std::move(separator)));
}

Value lipsum(Interp&, Bound&) {
  fail(Fault::kRuntime, "lipsum is not supported: a prompt has nothing random");
}

Value raise_exception(Interp& interp, Bound& a) {
  throw Failure{Fault::kRaised, str_of(interp.budget(), a[0]), 0};
}

Value strftime_now(Interp& interp, Bound& a) {
  return make_string(interp.heap(), format_time(interp.budget(), need_text(a[0], "strftime() argument 1"),
                                                interp.now_unix()));
}

constexpr Builtin kTable[] = {
    {"namespace", "/ mapping= **", make_namespace},
    {"raise_exception", "message", raise_exception},
    {"range", "/ start stop= step=", range},
    {"dict", "/ mapping= **", make_mapping},
    {"strftime_now", "format", strftime_now},
    {"cycler", "/ *", cycler},
    {"joiner", "sep=", joiner},
    {"lipsum", "n= html= min= max=", lipsum},
};

}  // namespace

BuiltinTable globals() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja

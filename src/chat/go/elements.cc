#include "chat/go/elements.h"

#include <array>

namespace quipu::gotmpl {

namespace {

using Args = std::span<const Value>;

size_t index_of(const Value& v, size_t most) {
  if (!v.valid()) fail_call("cannot index slice/array with nil");
  if (!v.is(Kind::kInt) && !v.is(Kind::kUint))
    fail_call("cannot index slice/array with type {}", v.type_name());
  if ((v.is(Kind::kInt) && v.as_int() < 0) || v.as_uint() > most)
    fail_call("index out of range: {}", v.as_int());
  return v.as_uint();
}

Value element_at(const Value& item, const Value& position) {
  const size_t i = index_of(position.unboxed(), item.size());
  const bool is_string = item.is(Kind::kString);
  if (i == item.size()) fail_call("reflect: {} index out of range", is_string ? "string" : "slice");
  return is_string ? Value::byte(static_cast<uint8_t>(item.as_string()[i])) : item.element(i);
}

Value entry_at(const Value& item, const Value& boxed_key) {
  const Value key = boxed_key.unboxed();
  if (!key.valid()) fail_call("value is nil; should be of type string");
  if (!key.is(Kind::kString)) fail_call("value has type {}; should be string", key.type_name());
  const Value* found = item.find(key.as_string());
  return found != nullptr ? *found : Value::zero(item.type()->elem);
}

}  // namespace

Value index(Args args, const CallContext&) {
  Value item = args[0].unboxed();
  if (!item.valid()) fail_call("index of untyped nil");
  for (const Value& position : args.subspan(1)) {
    auto [inner, is_nil] = indirect(std::move(item));
    if (is_nil) fail_call("index of nil pointer");
    switch (inner.kind()) {
      case Kind::kString:
      case Kind::kSlice:
        item = element_at(inner, position);
        break;
      case Kind::kMap:
        item = entry_at(inner, position);
        break;
      default:
        fail_call("can't index item of type {}", inner.type_name());
    }
  }
  return item;
}

Value slice(Args args, const CallContext&) {
  if (!args[0].unboxed().valid()) fail_call("slice of untyped nil");
  const auto [item, is_nil] = indirect(args[0]);
  if (is_nil) fail_call("slice of nil pointer");
  const Args positions = args.subspan(1);
  if (positions.size() > 3) fail_call("too many slice indexes: {}", positions.size());
  const bool is_string = item.is(Kind::kString);
  if (is_string && positions.size() == 3) fail_call("cannot 3-index slice a string");
  if (!is_string && !item.is(Kind::kSlice)) fail_call("can't slice item of type {}", item.type_name());
  const size_t capacity = is_string ? item.size() : item.capacity();
  std::array<size_t, 3> at = {0, item.size(), capacity};
  // Unlike index, slice does not look into a place for any value.
  for (size_t i = 0; i < positions.size(); ++i) at[i] = index_of(positions[i], capacity);
  for (size_t i = 0; i < 2; ++i)
    if (at[i] > at[i + 1]) fail_call("invalid slice index: {} > {}", at[i], at[i + 1]);
  return item.slice(at[0], at[1], at[2]);
}

Value length(Args args, const CallContext&) {
  const auto [item, is_nil] = indirect(args[0]);
  if (is_nil) fail_call("len of nil pointer");
  if (item.is(Kind::kString) || item.is(Kind::kSlice) || item.is(Kind::kMap))
    return Value::integer(static_cast<int64_t>(item.size()));
  if (!item.valid()) fail_call("reflect: call of reflect.Value.Type on zero Value");
  fail_call("len of type {}", item.type_name());
}

}  // namespace quipu::gotmpl

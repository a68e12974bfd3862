// Finds filters, tests, methods and global functions by name.
#include <initializer_list>

#include "chat/jinja/builtins.h"
#include "chat/jinja/ops.h"

namespace quipu::jinja {

namespace {

const Builtin* find_in(const BuiltinTable& table, std::string_view name) {
  for (size_t i = 0; i < table.n; ++i)
    if (table.first[i].name == name) return table.first + i;
  return nullptr;
}

const Builtin* find_in(std::initializer_list<BuiltinTable> tables, std::string_view name) {
  for (const BuiltinTable& table : tables)
    if (const Builtin* found = find_in(table, name)) return found;
  return nullptr;
}

}  // namespace

const Builtin* find_filter(std::string_view name) {
  return find_in({text_filters(), layout_filters(), markup_filters(), sequence_filters(), selection_filters(),
                  number_filters()},
                 name);
}

const Builtin* find_test(std::string_view name) { return find_in(tests(), name); }
const Builtin* find_global(std::string_view name) { return find_in(globals(), name); }

const Builtin* find_method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      if (is_markup(object))
        if (const Builtin* found = find_in(markup_methods(), name)) return found;
      return find_in({text_methods(), text_search_methods()}, name);
    case Kind::kDict:
      return find_in(dict_methods(), name);
    case Kind::kList:
      return find_in(list_methods(), name);
    case Kind::kTuple:
      return find_in(tuple_methods(), name);
    case Kind::kRange:
      return find_in(range_methods(), name);
    case Kind::kBool:
    case Kind::kInt:
      return find_in(int_methods(), name);
    case Kind::kFloat:
      return find_in(float_methods(), name);
    case Kind::kLoop:
      return find_in(loop_methods(), name);
    case Kind::kCycler:
      return find_in(cycler_methods(), name);
    default:
      return nullptr;
  }
}

}  // namespace quipu::jinja

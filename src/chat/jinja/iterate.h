// Going through values as Python's iter() does.
//
// Threads: as the values.
#pragma once

#include <vector>

#include "chat/jinja/objects.h"
#include "chat/jinja/ops.h"

namespace quipu::jinja {

bool is_iterable(const Value& value);
Ref<Iterator> iterate(Heap& heap, const Value& value);             // throws for what is not iterable
Value reversed(Heap& heap, const Value& value, bool& reversible);  // an iterator; not reversible: missing
std::vector<Value> to_vector(Heap& heap, const Value& value);

// Checks the size of a list as it grows.
void add_item(Budget& budget, std::vector<Value>& items, Value item);

// Exactly n values out of one.
std::vector<Value> unpack(Heap& heap, const Value& value, size_t n);

template <class F>
void for_each(Heap& heap, const Value& value, F&& f) {
  if (is_sequence(value)) {
    const Value keep = value;
    for (const Value& item : items_of(keep)) {
      heap.budget().step();
      f(item);
    }
    return;
  }
  const Ref<Iterator> it = iterate(heap, value);
  for (Value item; it->next(item);) {
    heap.budget().step();
    f(item);
  }
}

}  // namespace quipu::jinja

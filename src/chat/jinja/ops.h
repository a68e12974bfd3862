// What Python's operators do with values.
//
// Threads: as the values.
#pragma once

#include <string>
#include <string_view>

#include "chat/jinja/ast.h"
#include "chat/jinja/value.h"

namespace quipu::jinja {

class Interp;

std::string_view type_name(const Value& value);  // type(value).__name__
std::string described_type(const Value& value);  // as messages about missing attributes say it

bool truth(const Value& value);
bool identical(const Value& a, const Value& b);  // `is`
bool equal(Budget& budget, const Value& a, const Value& b);
bool compare(Budget& budget, Op op, const Value& a, const Value& b);  // == != < <= > >=
uint64_t hash_text(std::string_view text);
uint64_t hash_of(Budget& budget, const Value& value);  // throws for what cannot be hashed

Value arithmetic(Interp& interp, Op op, const Value& a, const Value& b);
Value negative(Heap& heap, const Value& value);
Value positive(const Value& value);
bool contains(Interp& interp, const Value& container, const Value& item);

size_t length_of(const Value& value);  // len(); throws
bool has_length(const Value& value);

// The string's characters, so many: like Python's slices it takes what there is.
std::string_view sub_chars(const Value& string, size_t from, size_t n);

// The value as an integer where Python wants one (an index, a width): bool and int. `what` completes the
// message.
Int need_int(const Value& value, std::string_view what);
const std::string& need_text(const Value& value, std::string_view what);
int need_small_int(const Value& value, std::string_view what);  // clamped to what an int holds

}  // namespace quipu::jinja

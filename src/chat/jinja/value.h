// The values that a template computes with: Python's, as far as templates can reach them.
//
// Plain values lie inside Value; everything else is an Object on the Heap of one render, counted by
// references. Cycles (a namespace that holds itself, a macro in the scope it closes over) are freed with the
// heap.
//
// Threads: values belong to one render, on one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/budget.h"

namespace quipu::jinja {

using Int = __int128;  // Python's integers are unbounded; beyond this the template gets an overflow error

enum class Kind : uint8_t {
  kMissing,  // no value: a name that is not there, an argument that was not given
  kNone,
  kBool,
  kInt,
  kFloat,
  kUndefined,  // from here on: objects
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kNamespace,
  kView,
  kIterator,
  kCallable,
  kLoop,
  kCycler,
  kSelf,
};

class Heap;

class Object {
 public:
  explicit Object(Heap& heap);
  virtual ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  void retain() noexcept { ++refs_; }
  void release() noexcept;
  bool shared() const { return refs_ > 1; }
  Heap& heap() const { return heap_; }

  // Lets go of every value it holds.
  virtual void clear() noexcept {}

 protected:
  // Bytes beyond the object itself; counted until the object dies.
  void hold(uint64_t bytes);

 private:
  friend class Heap;
  Heap& heap_;
  Object* previous_ = nullptr;
  Object* next_ = nullptr;  // also the link in the heap's list of objects to delete
  uint64_t held_ = 0;
  uint32_t refs_ = 0;
};

// Owns all objects of one render.
class Heap {
 public:
  explicit Heap(Budget& budget) : budget_(budget) {}
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  Budget& budget() const { return budget_; }

 private:
  friend class Object;
  void bury(Object* object) noexcept;

  Budget& budget_;
  Object* first_ = nullptr;
  Object* dying_ = nullptr;  // deleted one after the other: a chain of a million lists must not recurse
  bool burying_ = false;
};

class Value {
 public:
  Value() noexcept : kind_(Kind::kMissing), low_(0), high_(0) {}
  Value(const Value& other) noexcept : kind_(other.kind_), low_(other.low_), high_(other.high_) {
    if (is_object()) object()->retain();
  }
  Value(Value&& other) noexcept : kind_(other.kind_), low_(other.low_), high_(other.high_) {
    other.kind_ = Kind::kMissing;
  }
  Value& operator=(Value other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(low_, other.low_);
    std::swap(high_, other.high_);
    return *this;
  }
  ~Value() {
    if (is_object()) object()->release();
  }

  static Value none() { return Value(Kind::kNone, 0, 0); }
  static Value boolean(bool b) { return Value(Kind::kBool, b, 0); }
  static Value integer(Int i) {
    return Value(Kind::kInt, static_cast<uint64_t>(i), static_cast<int64_t>(i >> 64));
  }
  static Value number(double d) { return Value(Kind::kFloat, __builtin_bit_cast(uint64_t, d), 0); }
  static Value of(Kind kind, Object* object) {
    object->retain();
    return Value(kind, reinterpret_cast<uintptr_t>(object), 0);
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool missing() const { return kind_ == Kind::kMissing; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_object() const { return kind_ >= Kind::kUndefined; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  bool as_bool() const { return low_ != 0; }
  Int as_int() const {
    return static_cast<Int>(static_cast<unsigned __int128>(high_) << 64 | low_);
  }  // or a bool's
  double as_float() const { return __builtin_bit_cast(double, low_); }
  double to_double() const { return kind_ == Kind::kFloat ? as_float() : static_cast<double>(as_int()); }
  Object* object() const { return reinterpret_cast<Object*>(static_cast<uintptr_t>(low_)); }
  template <class T>
  T& as() const {
    return *static_cast<T*>(object());
  }

 private:
  Value(Kind kind, uint64_t low, int64_t high) noexcept : kind_(kind), low_(low), high_(high) {}

  Kind kind_;
  uint64_t low_;
  int64_t high_;
};

// A counted reference to an object that is no template's value, or whose type is known.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(T* object) noexcept : object_(object) {  // NOLINT: a plain pointer is one
    if (object_ != nullptr) object_->retain();
  }
  Ref(const Ref& other) noexcept : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->release();
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

class String final : public Object {
 public:
  String(Heap& heap, std::string bytes, bool markup);
  const std::string& bytes() const { return bytes_; }
  bool markup() const { return markup_; }  // markupsafe's Markup: already escaped
  size_t length() const;                   // in code points
  bool ascii() const { return length() == bytes_.size(); }

 private:
  std::string bytes_;  // valid UTF-8
  mutable size_t length_ = SIZE_MAX;
  bool markup_;
};

class Undefined final : public Object {
 public:
  Undefined(Heap& heap, std::string message, bool security)
      : Object(heap), message_(std::move(message)), security_(security) {
    hold(message_.capacity());
  }
  [[noreturn]] void raise() const {
    throw Failure{security_ ? Fault::kSecurity : Fault::kUndefined, message_, 0};
  }

 private:
  std::string message_;
  bool security_;
};

// A list or a tuple. Lists are never changed once a template can see them: the sandbox refuses that.
class List final : public Object {
 public:
  List(Heap& heap, std::vector<Value> items, bool group = false);
  const std::vector<Value>& items() const { return items_; }
  bool group() const { return group_; }  // what groupby yields: a tuple with the names `grouper` and `list`
  void clear() noexcept override { items_.clear(); }

 private:
  std::vector<Value> items_;
  bool group_;
};

// A dict in insertion order. Filled by whoever makes it, then never changed.
class Dict final : public Object {
 public:
  using Entry = std::pair<Value, Value>;
  explicit Dict(Heap& heap) : Object(heap) {}
  const std::vector<Entry>& entries() const { return entries_; }
  const Value* find(const Value& key) const;  // throws for a key that cannot be hashed
  const Value* find(std::string_view key) const;
  void set(const Value& key, Value value);
  void clear() noexcept override {
    entries_.clear();
    slots_.clear();
  }

 private:
  size_t probe(const Value& key, uint64_t hash) const;  // the entry's index, or entries_.size()
  void insert_slot(uint64_t hash, size_t index);
  void rehash();

  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // index + 1, open addressing; empty while there are few entries
};

struct Range final : public Object {
  Range(Heap& heap, Int start, Int stop, Int step, Int length)
      : Object(heap), start(start), stop(stop), step(step), length(length) {}
  const Int start, stop, step, length;
};

// namespace(): the one thing a template can change.
class Namespace final : public Object {
 public:
  Namespace(Heap& heap, Value attributes) : Object(heap), attributes(std::move(attributes)) {}
  Dict& dict() const { return attributes.as<Dict>(); }
  void clear() noexcept override { attributes = Value(); }
  Value attributes;
  bool in_repr = false;
};

struct View final : public Object {
  enum class Of : uint8_t { kKeys, kValues, kItems };
  View(Heap& heap, Value dict, Of of) : Object(heap), dict(std::move(dict)), of(of) {}
  void clear() noexcept override { dict = Value(); }
  Value dict;
  const Of of;
};

struct Cycler final : public Object {
  Cycler(Heap& heap, Value items) : Object(heap), items(std::move(items)) {}
  void clear() noexcept override { items = Value(); }
  Value items;  // a tuple, not empty
  size_t position = 0;
};

inline const std::string& text_of(const Value& v) { return v.as<String>().bytes(); }
inline const std::vector<Value>& items_of(const Value& v) { return v.as<List>().items(); }
inline bool is_markup(const Value& v) { return v.is_string() && v.as<String>().markup(); }
inline Value make_string(Heap& heap, std::string text) {
  return Value::of(Kind::kString, new String(heap, std::move(text), false));
}
inline Value make_markup(Heap& heap, std::string text) {
  return Value::of(Kind::kString, new String(heap, std::move(text), true));
}
// A string that is Markup if `like` is.
inline Value make_string_like(const Value& like, std::string text) {
  return Value::of(Kind::kString, new String(like.object()->heap(), std::move(text), is_markup(like)));
}
inline Value make_list(Heap& heap, std::vector<Value> items) {
  return Value::of(Kind::kList, new List(heap, std::move(items)));
}
inline Value make_tuple(Heap& heap, std::vector<Value> items) {
  return Value::of(Kind::kTuple, new List(heap, std::move(items)));
}
inline Value make_dict(Heap& heap) { return Value::of(Kind::kDict, new Dict(heap)); }
inline Value make_undefined(Heap& heap, std::string message) {
  return Value::of(Kind::kUndefined, new Undefined(heap, std::move(message), false));
}
inline bool is_sequence(const Value& v) { return v.is(Kind::kList) || v.is(Kind::kTuple); }

}  // namespace quipu::jinja

// Filters that yield their results one by one: they do nothing before somebody asks for an item.
#include <algorithm>

#include "chat/jinja/filter_support.h"
#include "chat/jinja/iterate.h"

namespace quipu::jinja {

namespace {

// The base of generators: `start` runs before the first item.
class Generator : public Iterator {
 public:
  Generator(Interp& interp, Bound args) : Iterator(interp.heap()), interp_(interp), args_(std::move(args)) {}
  void clear() noexcept override {
    args_ = {};
    source_ = {};
    done_ = true;
  }

  bool next(Value& out) final {
    if (done_) return false;
    const Nested nested(interp_.budget());
    if (running_) fail(Fault::kValue, "generator already executing");
    running_ = true;
    if (!started_) {
      started_ = true;
      start();
    }
    const bool more = !done_ && produce(out);
    running_ = false;
    if (!more) {
      const Value keep = Value::of(Kind::kIterator, this);
      clear();
    }
    return more;
  }

 protected:
  virtual void start() { source_ = iterate(heap(), args_[0]); }
  virtual bool produce(Value& out) = 0;

  Interp& interp_;
  Bound args_;
  Ref<Iterator> source_;
  bool done_ = false;

 private:
  bool started_ = false;
  bool running_ = false;
};

template <class T>
Value generate(Interp& interp, Bound& args) {
  return Value::of(Kind::kIterator, new T(interp, std::move(args)));
}

class Items final : public Generator {
 public:
  using Generator::Generator;

 private:
  void start() override {
    if (args_[0].is_undefined()) {
      done_ = true;
      return;
    }
    if (!args_[0].is(Kind::kDict)) fail(Fault::kType, "Can only get item pairs from a mapping.");
    source_ = iterate(heap(), Value::of(Kind::kView, new View(heap(), args_[0], View::Of::kItems)));
  }
  bool produce(Value& out) override { return source_->next(out); }
};

class Map final : public Generator {
 public:
  using Generator::Generator;
  void clear() noexcept override {
    path_ = {};
    fallback_ = name_ = Value();
    Generator::clear();
  }

 private:
  void start() override {
    if (!truth(args_[0])) {
      done_ = true;
      return;
    }
    Args& rest = args_.rest;
    if (rest.positional.empty()) {
      const Value attribute = rest.take("attribute");
      if (attribute.missing()) fail(Fault::kRuntime, "map requires a filter argument");
      fallback_ = rest.take("default");
      if (!rest.named.empty())
        fail(Fault::kRuntime, "Unexpected keyword argument {}", python_quoted(rest.named.front().first));
      path_ = AttributePath(interp_, attribute);
    } else {
      name_ = rest.positional.front();
      rest.positional.erase(rest.positional.begin());
      filter_ = name_.is_string() ? find_filter(text_of(name_)) : nullptr;
    }
    Generator::start();
  }

  bool produce(Value& out) override {
    Value item;
    if (!source_->next(item)) return false;
    if (name_.missing()) {
      out = path_.get(interp_, item, fallback_);
      return true;
    }
    if (filter_ == nullptr) fail(Fault::kRuntime, "No filter named {}.", repr_of(interp_.budget(), name_));
    out = call_named(interp_, filter_, item, args_.rest);
    return true;
  }

  AttributePath path_;
  Value fallback_, name_;
  const Builtin* filter_ = nullptr;
};

// select, reject, selectattr, rejectattr
template <bool kWanted, bool kByAttribute>
class Select final : public Generator {
 public:
  using Generator::Generator;
  void clear() noexcept override {
    path_ = {};
    name_ = Value();
    Generator::clear();
  }

 private:
  void start() override {
    if (!truth(args_[0])) {
      done_ = true;
      return;
    }
    std::vector<Value>& rest = args_.rest.positional;
    if (kByAttribute) {
      if (rest.empty()) fail(Fault::kRuntime, "Missing parameter for attribute name");
      path_ = AttributePath(interp_, rest.front());
      rest.erase(rest.begin());
    }
    if (!rest.empty()) {
      name_ = rest.front();
      rest.erase(rest.begin());
      test_ = name_.is_string() ? find_test(text_of(name_)) : nullptr;
    }
    Generator::start();
  }

  bool passes(const Value& value) {
    if (name_.missing()) return truth(value);
    if (test_ == nullptr) fail(Fault::kRuntime, "No test named {}.", repr_of(interp_.budget(), name_));
    return truth(call_named(interp_, test_, value, args_.rest));
  }

  bool produce(Value& out) override {
    for (Value item; source_->next(item);) {
      interp_.budget().step();
      if (passes(kByAttribute ? path_.get(interp_, item) : item) != kWanted) continue;
      out = std::move(item);
      return true;
    }
    return false;
  }

  AttributePath path_;
  Value name_;
  const Builtin* test_ = nullptr;
};

class Unique final : public Generator {
 public:
  using Generator::Generator;
  void clear() noexcept override {
    path_ = {};
    seen_ = Value();
    Generator::clear();
  }

 private:
  void start() override {
    case_sensitive_ = flag(args_, 1);
    path_ = AttributePath(interp_, args_[2]);
    seen_ = make_dict(heap());
    Generator::start();
  }
  bool produce(Value& out) override {
    for (Value item; source_->next(item);) {
      Value key = path_.get(interp_, item);
      if (!case_sensitive_) key = ignore_case(heap(), key);
      if (seen_.as<Dict>().find(key) != nullptr) continue;
      seen_.as<Dict>().set(key, Value::none());
      out = std::move(item);
      return true;
    }
    return false;
  }

  bool case_sensitive_ = false;
  AttributePath path_;
  Value seen_;
};

class Batch final : public Generator {
 public:
  using Generator::Generator;
  void clear() noexcept override {
    items_.clear();
    Generator::clear();
  }

 private:
  // A batch is full when another item comes, whatever the size: with a size of 0 that is before the first.
  bool produce(Value& out) override {
    Budget& budget = interp_.budget();
    for (Value item; source_->next(item);) {
      if (equal(budget, Value::integer(static_cast<Int>(items_.size())), args_[1])) {
        out = make_list(heap(), std::move(items_));
        items_ = {item};
        return true;
      }
      add_item(budget, items_, item);
    }
    if (items_.empty()) return false;
    if (args_.has(2) && !args_[2].is_none()) {
      const Int missing = need_int(args_[1], "linecount") - static_cast<Int>(items_.size());
      checked_repeat(budget, sizeof(Value), missing);
      for (Int i = 0; i < missing; ++i) add_item(budget, items_, args_[2]);
    }
    out = make_list(heap(), std::move(items_));
    items_.clear();
    return true;
  }

  std::vector<Value> items_;
};

class Slice final : public Generator {
 public:
  using Generator::Generator;

 private:
  void start() override {
    items_ = make_list(heap(), to_vector(heap(), args_[0]));
    slices_ = need_int(args_[1], "slices");
    if (slices_ == 0) fail(Fault::kZeroDivision, "integer division or modulo by zero");
  }
  bool produce(Value& out) override {
    if (number_ >= slices_) return false;
    const auto& items = items_of(items_);
    const auto n = static_cast<Int>(items.size());
    const Int each = n / slices_, with_extra = n % slices_;
    const Int first = number_ * each + std::min(number_, with_extra);
    const Int last = first + each + (number_ < with_extra ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<ptrdiff_t>(first),
                            items.begin() + static_cast<ptrdiff_t>(last));
    if (args_.has(2) && !args_[2].is_none() && number_ >= with_extra) part.push_back(args_[2]);
    interp_.budget().step(part.size());
    out = make_list(heap(), std::move(part));
    ++number_;
    return true;
  }
  void clear() noexcept override {
    items_ = Value();
    Generator::clear();
  }

  Value items_;
  Int slices_ = 0, number_ = 0;
};

constexpr Builtin kTable[] = {
    {"items", "value", generate<Items>},
    {"map", "value * **", generate<Map>},
    {"select", "value * **", generate<Select<true, false>>},
    {"reject", "value * **", generate<Select<false, false>>},
    {"selectattr", "value * **", generate<Select<true, true>>},
    {"rejectattr", "value * **", generate<Select<false, true>>},
    {"unique", "value case_sensitive= attribute=", generate<Unique>},
    {"batch", "value linecount fill_with=", generate<Batch>},
    {"slice", "value slices fill_with=", generate<Slice>},
};

}  // namespace

BuiltinTable selection_filters() { return {kTable, std::size(kTable)}; }

}  // namespace quipu::jinja

#include "chat/jinja/iterate.h"

#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

class SequenceIterator final : public Iterator {
 public:
  SequenceIterator(Heap& heap, Value sequence) : Iterator(heap), sequence_(std::move(sequence)) {}
  void clear() noexcept override { sequence_ = Value(); }
  bool next(Value& out) override {
    if (sequence_.missing() || at_ >= items_of(sequence_).size()) return false;
    out = items_of(sequence_)[at_++];
    return true;
  }
  std::string_view type_name() const override { return "list_iterator"; }

 private:
  Value sequence_;
  size_t at_ = 0;
};

class TextIterator final : public Iterator {
 public:
  TextIterator(Heap& heap, Value text) : Iterator(heap), text_(std::move(text)) {}
  void clear() noexcept override { text_ = Value(); }
  bool next(Value& out) override {
    if (text_.missing() || at_ >= text_of(text_).size()) return false;
    const size_t start = at_;
    at_ += char_bytes(text_of(text_)[at_]);
    out = make_string(heap(), text_of(text_).substr(start, at_ - start));
    return true;
  }
  std::string_view type_name() const override { return "str_iterator"; }

 private:
  Value text_;
  size_t at_ = 0;
};

class DictIterator final : public Iterator {
 public:
  DictIterator(Heap& heap, Value dict, View::Of of) : Iterator(heap), dict_(std::move(dict)), of_(of) {}
  void clear() noexcept override { dict_ = Value(); }
  bool next(Value& out) override {
    if (dict_.missing() || at_ >= dict_.as<Dict>().entries().size()) return false;
    const auto& [key, value] = dict_.as<Dict>().entries()[at_++];
    switch (of_) {
      case View::Of::kKeys:
        out = key;
        break;
      case View::Of::kValues:
        out = value;
        break;
      case View::Of::kItems:
        out = make_tuple(heap(), {key, value});
        break;
    }
    return true;
  }
  std::string_view type_name() const override { return "dict_keyiterator"; }

 private:
  Value dict_;
  const View::Of of_;
  size_t at_ = 0;
};

class RangeIterator final : public Iterator {
 public:
  RangeIterator(Heap& heap, const Range& range)
      : Iterator(heap), at_(range.start), step_(range.step), left_(range.length) {}
  bool next(Value& out) override {
    if (left_ == 0) return false;
    --left_;
    out = Value::integer(at_);
    if (left_ > 0) at_ += step_;
    return true;
  }
  std::string_view type_name() const override { return "range_iterator"; }

 private:
  Int at_, step_, left_;
};

class ReversedIterator final : public Iterator {
 public:
  ReversedIterator(Heap& heap, std::vector<Value> items, std::string_view name)
      : Iterator(heap), items_(std::move(items)), name_(name) {
    hold(items_.capacity() * sizeof(Value));
  }
  void clear() noexcept override { items_.clear(); }
  bool next(Value& out) override {
    if (items_.empty()) return false;
    out = std::move(items_.back());
    items_.pop_back();
    return true;
  }
  std::string_view type_name() const override { return name_; }

 private:
  std::vector<Value> items_;
  const std::string_view name_;
};

}  // namespace

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kIterator:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

Ref<Iterator> iterate(Heap& heap, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return new ReversedIterator(heap, {}, "generator");
    case Kind::kString:
      return new TextIterator(heap, value);
    case Kind::kList:
    case Kind::kTuple:
      return new SequenceIterator(heap, value);
    case Kind::kDict:
      return new DictIterator(heap, value, View::Of::kKeys);
    case Kind::kRange:
      return new RangeIterator(heap, value.as<Range>());
    case Kind::kView:
      return new DictIterator(heap, value.as<View>().dict, value.as<View>().of);
    case Kind::kIterator:
      return &value.as<Iterator>();
    case Kind::kLoop:
      fail(Fault::kType, "going through 'loop' itself is not supported");
    default:
      fail(Fault::kType, "'{}' object is not iterable", type_name(value));
  }
}

Value reversed(Heap& heap, const Value& value, bool& reversible) {
  reversible = true;
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView: {
      const std::string_view name = value.is(Kind::kList) ? "list_reverseiterator" : "reversed";
      return Value::of(Kind::kIterator, new ReversedIterator(heap, to_vector(heap, value), name));
    }
    default:
      reversible = false;
      return {};
  }
}

void add_item(Budget& budget, std::vector<Value>& items, Value item) {
  budget.step();
  budget.check_size((items.size() + 1) * sizeof(Value));
  items.push_back(std::move(item));
}

std::vector<Value> to_vector(Heap& heap, const Value& value) {
  std::vector<Value> items;
  for_each(heap, value, [&](const Value& item) { add_item(heap.budget(), items, item); });
  return items;
}

std::vector<Value> unpack(Heap& heap, const Value& value, size_t n) {
  std::vector<Value> items;
  if (is_sequence(value) || value.is(Kind::kDict)) {
    const size_t length = length_of(value);
    if (length < n) fail(Fault::kValue, "not enough values to unpack (expected {}, got {})", n, length);
    if (length > n) fail(Fault::kValue, "too many values to unpack (expected {})", n);
  }
  if (!is_iterable(value)) fail(Fault::kType, "cannot unpack non-iterable {} object", type_name(value));
  const Ref<Iterator> it = iterate(heap, value);
  for (Value item; it->next(item);) {
    if (items.size() == n) fail(Fault::kValue, "too many values to unpack (expected {})", n);
    items.push_back(item);
  }
  if (items.size() < n)
    fail(Fault::kValue, "not enough values to unpack (expected {}, got {})", n, items.size());
  return items;
}

}  // namespace quipu::jinja

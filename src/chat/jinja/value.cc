#include "chat/jinja/value.h"

#include "chat/jinja/ops.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {
// About what malloc and the list of objects add to an object.
constexpr uint64_t kObjectBytes = 128;
// Below this many entries a dict is searched one by one.
constexpr size_t kSmallDict = 8;
}  // namespace

Object::Object(Heap& heap) : heap_(heap) {
  heap.budget().hold(kObjectBytes);  // may throw: nothing is linked yet
  held_ = kObjectBytes;
  next_ = heap.first_;
  if (next_ != nullptr) next_->previous_ = this;
  heap.first_ = this;
}

Object::~Object() {
  heap_.budget().drop(held_);
  if (previous_ != nullptr)
    previous_->next_ = next_;
  else if (heap_.first_ == this)
    heap_.first_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

void Object::hold(uint64_t bytes) {
  heap_.budget().hold(bytes);
  held_ += bytes;
}

void Object::release() noexcept {
  if (--refs_ == 0) heap_.bury(this);
}

void Heap::bury(Object* object) noexcept {
  // Unlink first, so that next_ is free to chain the dying.
  if (object->previous_ != nullptr)
    object->previous_->next_ = object->next_;
  else if (first_ == object)
    first_ = object->next_;
  if (object->next_ != nullptr) object->next_->previous_ = object->previous_;
  object->previous_ = nullptr;
  object->next_ = dying_;
  dying_ = object;
  if (burying_) return;
  burying_ = true;
  while (dying_ != nullptr) {
    Object* victim = dying_;
    dying_ = victim->next_;
    victim->next_ = nullptr;
    delete victim;
  }
  burying_ = false;
}

Heap::~Heap() {
  // What is left refers to itself. Pin all, cut all ties, delete all.
  for (Object* o = first_; o != nullptr; o = o->next_) o->retain();
  for (Object* o = first_; o != nullptr; o = o->next_) o->clear();
  while (first_ != nullptr) delete first_;
}

String::String(Heap& heap, std::string bytes, bool markup)
    : Object(heap), bytes_(std::move(bytes)), markup_(markup) {
  heap.budget().check_size(bytes_.size());
  hold(bytes_.capacity());
}

size_t String::length() const {
  if (length_ == SIZE_MAX) {
    heap().budget().work(bytes_.size());
    length_ = count_chars(bytes_);
  }
  return length_;
}

List::List(Heap& heap, std::vector<Value> items, bool group)
    : Object(heap), items_(std::move(items)), group_(group) {
  const uint64_t bytes = items_.capacity() * sizeof(Value);
  heap.budget().check_size(bytes);
  hold(bytes);
}

size_t Dict::probe(const Value& key, uint64_t hash) const {
  Budget& budget = heap().budget();
  if (slots_.empty()) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      budget.step();
      if (equal(budget, entries_[i].first, key)) return i;
    }
    return entries_.size();
  }
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at] != 0; at = (at + 1) & mask) {
    budget.step();  // an attacker may choose keys that collide
    if (equal(budget, entries_[slots_[at] - 1].first, key)) return slots_[at] - 1;
  }
  return entries_.size();
}

const Value* Dict::find(const Value& key) const {
  const size_t i = probe(key, hash_of(heap().budget(), key));
  return i == entries_.size() ? nullptr : &entries_[i].second;
}

const Value* Dict::find(std::string_view key) const {
  if (slots_.empty()) {
    for (const Entry& e : entries_)
      if (e.first.is_string() && text_of(e.first) == key) return &e.second;
    return nullptr;
  }
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash_text(key) & mask; slots_[at] != 0; at = (at + 1) & mask) {
    heap().budget().step();
    const Entry& e = entries_[slots_[at] - 1];
    if (e.first.is_string() && text_of(e.first) == key) return &e.second;
  }
  return nullptr;
}

void Dict::set(const Value& key, Value value) {
  const uint64_t hash = hash_of(heap().budget(), key);
  const size_t i = probe(key, hash);
  if (i < entries_.size()) {
    entries_[i].second = std::move(value);
    return;
  }
  heap().budget().check_size((entries_.size() + 1) * sizeof(Entry));
  hold(sizeof(Entry) + 2 * sizeof(uint32_t));
  entries_.emplace_back(key, std::move(value));
  if (entries_.size() <= kSmallDict) return;
  if (entries_.size() * 2 > slots_.size())
    rehash();
  else
    insert_slot(hash, i);
}

void Dict::insert_slot(uint64_t hash, size_t index) {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at] != 0) {
    heap().budget().step();
    at = (at + 1) & mask;
  }
  slots_[at] = static_cast<uint32_t>(index + 1);
}

void Dict::rehash() {
  size_t size = 32;
  while (size < entries_.size() * 4) size *= 2;
  slots_.assign(size, 0);
  for (size_t i = 0; i < entries_.size(); ++i) insert_slot(hash_of(heap().budget(), entries_[i].first), i);
}

}  // namespace quipu::jinja

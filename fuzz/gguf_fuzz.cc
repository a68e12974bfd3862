// Any bytes as a GGUF file: parsed, walked whole, written again, parsed again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"

namespace {

using quipu::gguf::Array;
using quipu::gguf::Entry;
using quipu::gguf::File;
using quipu::gguf::Tensor;
using quipu::gguf::Writer;

void require(bool condition) {
  if (!condition) std::abort();
}

// Errors are one line that says something.
template <class R>
void check_error(const R& r) {
  if (!r) require(!r.error().message.empty() && r.error().message.find('\n') == std::string::npos);
}

void walk(const File& file, std::span<const std::byte> bytes) {
  (void)file.architecture();
  for (const Entry& e : file.entries()) {
    require(file.find(e.key) == &e);
    check_error(file.uint(e.key));
    check_error(file.integer(e.key));
    check_error(file.number(e.key));
    check_error(file.boolean(e.key));
    check_error(file.string(e.key));
    check_error(file.array(e.key));
    const auto* a = std::get_if<Array>(&e.value);
    if (a == nullptr) continue;
    if (const auto v = a->as_ints()) require(v->size() == a->size());
    if (const auto v = a->as_floats()) require(v->size() == a->size());
    if (const auto v = a->as_bools()) require(v->size() == a->size());
    if (const auto v = a->as_strings()) require(v->size() == a->size());
  }
  const std::byte* last = bytes.data();
  for (const Tensor& t : file.tensors()) {
    require(file.tensor(t.name) == &t);
    require(t.n_elements() >= 0 && quipu::type_info(t.type) != nullptr);
    if (t.data.empty()) continue;
    require(t.data.data() >= last &&
            t.data.data() + t.data.size() <= bytes.data() + bytes.size());  // no overlaps
    last = t.data.data() + t.data.size();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto without_data = File::parse(bytes, {.require_tensor_data = false});
  check_error(without_data);
  if (without_data) walk(**without_data, bytes);
  const auto file = File::parse(bytes, {});
  check_error(file);
  if (!file) return 0;
  require(without_data.has_value());
  walk(**file, bytes);

  Writer writer;
  for (const Entry& e : (*file)->entries()) writer.add_entry(e);
  for (const Tensor& t : (*file)->tensors()) {
    const auto shape = std::span(t.shape).first(static_cast<size_t>(t.n_dims));
    require(writer.add_tensor(t.name, t.type, shape, t.data).has_value());
  }
  const std::vector<std::byte> written = writer.bytes();
  const auto again = File::parse(written, {});
  require(again.has_value() && (*again)->tensors().size() == (*file)->tensors().size());
  return 0;
}

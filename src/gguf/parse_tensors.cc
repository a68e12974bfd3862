// The tensor table, and where each tensor's data lies. Data follows in the table's order without gaps or
// overlaps, each tensor on a multiple of the alignment: any other offset is a lie or damage.
#include "base/checked.h"
#include "gguf/parse.h"

namespace quipu::gguf {

namespace {

constexpr size_t kMaxNameBytes = 63;

struct Record {
  Tensor tensor;
  uint64_t offset = 0;  // from the start of the data
  uint64_t bytes = 0;
};

Result<uint64_t> tensor_bytes(const Tensor& t) {
  const auto row = row_bytes(t.type, t.shape[0]);
  if (t.shape[0] % type_info(t.type)->block_elems != 0)
    return error(Code::kCorrupt, "tensor '{}' has rows of {} values, but {} is stored in blocks of {}",
                 shown(t.name), t.shape[0], type_name(t.type), type_info(t.type)->block_elems);
  auto bytes = row;
  for (size_t d = 1; d < 4 && bytes; ++d) bytes = checked_mul(*bytes, static_cast<uint64_t>(t.shape[d]));
  if (!bytes) return error(Code::kCorrupt, "tensor '{}' has more bytes than can be counted", shown(t.name));
  return *bytes;
}

Result<Record> parse_tensor(Cursor& c, uint64_t number) {
  Record r;
  Tensor& t = r.tensor;
  QUIPU_ASSIGN(t.name, c.string(Place{Place::Kind::kTensorName, number, {}}));
  if (t.name.size() > kMaxNameBytes)
    return error(Code::kCorrupt, "the name of tensor {} ('{}') has {} bytes; {} is the limit", number,
                 shown(t.name), t.name.size(), kMaxNameBytes);
  const Place place{Place::Kind::kTensor, number, t.name};
  QUIPU_ASSIGN(const uint32_t n_dims, c.read<uint32_t>(place));
  if (n_dims > 4)
    return error(Code::kCorrupt, "tensor '{}' has {} dimensions; 4 is the limit", shown(t.name), n_dims);
  t.n_dims = static_cast<int>(n_dims);
  t.shape = {1, 1, 1, 1};
  int64_t elements = 1;
  for (uint32_t d = 0; d < n_dims; ++d) {
    QUIPU_ASSIGN(t.shape[d], c.read<int64_t>(place));
    if (t.shape[d] < 0)
      return error(Code::kCorrupt, "dimension {} of tensor '{}' is {}", d, shown(t.name), t.shape[d]);
    const auto product = checked_mul(elements, t.shape[d]);
    if (!product)
      return error(Code::kCorrupt, "tensor '{}' has more elements than can be counted", shown(t.name));
    elements = *product;
  }
  QUIPU_ASSIGN(const int32_t type, c.read<int32_t>(place));
  QUIPU_ASSIGN(r.offset, c.read<uint64_t>(place));
  if (const char* removed = removed_type_name(type))
    return error(Code::kUnsupported,
                 "tensor '{}' is quantised as {} (type {}), which GGUF has given up; convert the model again",
                 shown(t.name), removed, type);
  if (type_info(type) == nullptr)
    return error(Code::kUnsupported, "tensor '{}' has the unknown type {} (supported are: {})", shown(t.name),
                 type, computable_types());
  t.type = static_cast<TensorType>(type);
  QUIPU_ASSIGN(r.bytes, tensor_bytes(t));
  return r;
}

}  // namespace

Result<std::vector<Tensor>> parse_tensors(Cursor& c, uint64_t n, uint64_t alignment,
                                          std::span<const std::byte> bytes, File::Options options) {
  std::vector<Tensor> tensors;
  uint64_t data_bytes = 0;  // of the tensors so far, padded: where the next one has to begin
  std::vector<std::pair<uint64_t, uint64_t>> extents;
  for (uint64_t i = 0; i < n; ++i) {
    QUIPU_ASSIGN(const Record r, parse_tensor(c, i + 1));
    if (r.offset != data_bytes)
      return error(Code::kCorrupt, "tensor '{}' begins at offset {} of the data; it must be {}",
                   shown(r.tensor.name), r.offset, data_bytes);
    const auto end = checked_add(r.offset, r.bytes);
    const auto padded = end ? checked_round_up(*end, alignment) : std::nullopt;
    if (!padded)
      return error(Code::kCorrupt, "tensor '{}' ends beyond what can be addressed", shown(r.tensor.name));
    data_bytes = *padded;
    extents.emplace_back(r.offset, r.bytes);
    tensors.push_back(r.tensor);
  }
  const auto data_start = checked_round_up<uint64_t>(c.position(), alignment);
  if (!data_start || !checked_add(*data_start, data_bytes))
    return error(Code::kCorrupt, "the tensors' data ends beyond what can be addressed");
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t begin = *data_start + extents[i].first, end = begin + extents[i].second;
    if (end <= bytes.size()) {
      tensors[i].data = bytes.subspan(static_cast<size_t>(begin), static_cast<size_t>(extents[i].second));
    } else if (options.require_tensor_data) {
      return error(Code::kCorrupt,
                   "the data of tensor '{}' ends at byte {}, but the file has {}: it is incomplete",
                   shown(tensors[i].name), end, bytes.size());
    }
  }
  return tensors;
}

}  // namespace quipu::gguf

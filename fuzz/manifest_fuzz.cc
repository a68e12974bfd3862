// Any bytes as a manifest and as a config: what is read comes back the same when written, and every digest it
// has is found in the bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "store/config_blob.h"
#include "store/manifest.h"

namespace {

using namespace quipu::store;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)digests_in(bytes);
  if (const auto manifest = parse_manifest(bytes)) {
    const std::string text = format_manifest(*manifest);
    const auto again = parse_manifest(text);
    require(again && *again == *manifest);
    const auto digests = digests_in(text);
    for (const Layer& layer : manifest->layers)
      require(std::ranges::find(digests, layer.digest) != digests.end());
    (void)manifest->total_bytes();
  }
  if (const auto config = parse_config(bytes)) {
    const auto again = parse_config(format_config(*config));
    require(again && *again == *config);
  }
  return 0;
}

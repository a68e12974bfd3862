// Any bytes as a model's name: what is valid comes back from each of its forms and never leaves its folder.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "modelfile/model_name.h"

namespace {

using namespace quipu;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto digest = Digest::parse(text)) require(Digest::parse(digest->file_name()) == *digest);
  const ModelName name = parse_model_name(text);
  if (name.is_valid()) {
    const std::string path = name.manifest_path();
    require(std::ranges::count(path, '/') == 3 && path[0] != '/' &&
            ("/" + path).find("/.") == std::string::npos);
    const auto back = name_of_manifest_path(path);
    require(back && back->same_model(name));
    require(parse_model_name(name.short_name()).same_model(name));
    require(parse_model_name(name.full_name()).same_model(name));
  }
  const auto reference = parse_model_reference(text);
  require(reference ? reference->name.is_valid() : !reference.error().message.empty());
  return 0;
}

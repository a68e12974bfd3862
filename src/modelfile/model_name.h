// Names of models: [scheme://][host/][namespace/]model[:tag]. Spec: ollama-compat 5.1.
//
// Threads: values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu {

struct ModelName {
  std::string scheme, host, namespace_, model, tag;

  // Every part but the scheme is there and made of what may stand in it. Only a valid name has a short form,
  // a full form and a path that mean anything.
  bool is_valid() const;

  std::string short_name() const;  // what users see: host and namespace left out where they are the default
  std::string full_name() const;   // host/namespace/model:tag
  std::string manifest_path() const;  // below manifests/: host/namespace/model/tag

  // Without case, but for the scheme's, which does not count.
  bool same_model(const ModelName& other) const;

  friend bool operator==(const ModelName&, const ModelName&) = default;
};

// The parts as they stand in the text; what is not there is empty. A part that a separator promised and that
// is missing becomes one that is never valid.
ModelName parse_bare_name(std::string_view text);

// The same with the defaults: https, registry.ollama.ai, library, latest.
ModelName parse_model_name(std::string_view text);

// "host/namespace/model/tag"; nothing if that is no valid name.
std::optional<ModelName> name_of_manifest_path(std::string_view path);

bool equal_without_case(std::string_view a, std::string_view b);

// A name as a client gives it: white space around it does not count, ":local" at its end is dropped, and
// ":cloud" or a tag that ends in "-cloud" asks for a model that runs elsewhere.
struct ModelReference {
  enum class Source { kAny, kLocal, kCloud };

  std::string original;  // as given, without the white space
  ModelName name;        // without the suffix; valid
  Source source = Source::kAny;
};

// kInvalidArgument, in Ollama's words: "model is required", "invalid model name", "use either :local or
// :cloud, not both: "..."".
Result<ModelReference> parse_model_reference(std::string_view text);

}  // namespace quipu

// Manifests: which blobs a model's name stands for. Spec: ollama-compat 5.3.
//
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace quipu::store {

inline constexpr std::string_view kManifestType = "application/vnd.docker.distribution.manifest.v2+json";

namespace media {
inline constexpr std::string_view kConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kModel = "application/vnd.ollama.image.model";
inline constexpr std::string_view kProjector = "application/vnd.ollama.image.projector";
inline constexpr std::string_view kAdapter = "application/vnd.ollama.image.adapter";
inline constexpr std::string_view kDraft = "application/vnd.ollama.image.draft";
inline constexpr std::string_view kTemplate = "application/vnd.ollama.image.template";
inline constexpr std::string_view kPrompt = "application/vnd.ollama.image.prompt";  // a template's old name
inline constexpr std::string_view kSystem = "application/vnd.ollama.image.system";
inline constexpr std::string_view kParams = "application/vnd.ollama.image.params";
inline constexpr std::string_view kMessages = "application/vnd.ollama.image.messages";
inline constexpr std::string_view kLicense = "application/vnd.ollama.image.license";
inline constexpr std::string_view kEmbed = "application/vnd.ollama.image.embed";  // no longer in use
}  // namespace media

struct Layer {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  std::string from;  // short name of the model it was taken from; may be empty
  std::string name;  // may be empty

  friend bool operator==(const Layer&, const Layer&) = default;
};

struct Manifest {
  int64_t schema_version = 2;
  std::string media_type = std::string(kManifestType);
  std::optional<Layer> config;
  std::vector<Layer> layers;

  uint64_t total_bytes() const;  // of the layers and the config, as the manifest claims

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// kCorrupt for what is no manifest; kUnsupported for a list of manifests. Keys it does not know are ignored.
Result<Manifest> parse_manifest(std::string_view bytes);

// One line of JSON and a line end, as Ollama writes it.
std::string format_manifest(const Manifest& manifest);

// Whatever looks like a digest in these bytes. It holds for manifests of any form, damaged ones too: what
// they name must not be deleted.
std::vector<Digest> digests_in(std::string_view bytes);

}  // namespace quipu::store

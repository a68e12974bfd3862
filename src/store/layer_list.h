// The layers of a manifest in the making: blobs that are there, and texts that become blobs when the list is
// final.
//
// Threads: an object belongs to one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/gguf_facts.h"
#include "store/manifest.h"
#include "store/store.h"

namespace quipu::store {

struct PlannedLayer {
  Layer layer;
  std::optional<std::string> content;      // of a text; its digest and size are filled in when it is written
  std::string status;                      // what progress says of it; empty: creating or using
  std::shared_ptr<const GgufFacts> facts;  // of a GGUF
};

class LayerList {
 public:
  void add_blob(Layer layer, std::shared_ptr<const GgufFacts> facts, bool was_there);
  void add_text(std::string_view media_type, std::string content, std::string status = {});
  // Takes the place of all layers of this type, at the end.
  void replace_text(std::string_view media_type, std::string content);
  void remove(std::string_view media_type);
  // The list, and whoever put them there, keeps their order.
  void append(LayerList other);

  std::vector<PlannedLayer>& layers() { return layers_; }
  const std::vector<PlannedLayer>& layers() const { return layers_; }

  // Writes the texts. Then every layer has its digest, size and status.
  Result<void> write(Store& store, Store::Hold& hold);

 private:
  std::vector<PlannedLayer> layers_;
};

}  // namespace quipu::store

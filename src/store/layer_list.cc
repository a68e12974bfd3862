#include "store/layer_list.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace quipu::store {

namespace {

std::string status_of(const Digest& digest, bool was_there) {
  return fmt::format("{} {}", was_there ? "using existing layer" : "creating new layer", digest.text());
}

}  // namespace

void LayerList::add_blob(Layer layer, std::shared_ptr<const GgufFacts> facts, bool was_there) {
  std::string status = status_of(layer.digest, was_there);
  layers_.push_back({std::move(layer), std::nullopt, std::move(status), std::move(facts)});
}

void LayerList::add_text(std::string_view media_type, std::string content, std::string status) {
  Layer layer;
  layer.media_type = media_type;
  layers_.push_back({std::move(layer), std::move(content), std::move(status), nullptr});
}

void LayerList::replace_text(std::string_view media_type, std::string content) {
  remove(media_type);
  add_text(media_type, std::move(content));
}

void LayerList::remove(std::string_view media_type) {
  std::erase_if(layers_, [&](const PlannedLayer& planned) { return planned.layer.media_type == media_type; });
}

void LayerList::append(LayerList other) {
  std::move(other.layers_.begin(), other.layers_.end(), std::back_inserter(layers_));
}

Result<void> LayerList::write(Store& store, Store::Hold& hold) {
  for (PlannedLayer& planned : layers_) {
    if (!planned.content) continue;
    QUIPU_ASSIGN(const Store::WrittenBlob written, store.put_blob(*planned.content, &hold));
    planned.layer.digest = written.digest;
    planned.layer.size = written.bytes;
    if (planned.status.empty()) planned.status = status_of(written.digest, written.was_there);
  }
  return {};
}

}  // namespace quipu::store

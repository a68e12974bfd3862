// From uploaded GGUF files to layers: weights, projectors, adapters, drafts. Spec: ollama-compat 1.13.
//
// Threads: one call per thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/create.h"
#include "store/layer_list.h"

namespace quipu::store {

enum class ImportAs {
  kModel,    // what each file is, it says itself
  kAdapter,  // one adapter
  kDraft,    // every file
};

// The files stay the blobs that they are; only the parts of a split one become a blob together.
// kInvalidArgument for files that are not what they should be; kUnsupported for safetensors; kIo for missing
// blobs.
Result<LayerList> import_files(Store& store, Store::Hold& hold, const CreateRequest::Files& files,
                               ImportAs as, const CreateHooks& hooks);

}  // namespace quipu::store

// What clients asked for, kept in files so that it can be asked again: OLLAMA_DEBUG_LOG_REQUESTS.
//
// For each request to a model two files in a new folder (mode 0700: prompts are private):
//   20261125T120000.123_7_chat_body.json    the body, byte for byte
//   20261125T120000.123_7_chat_request.sh   sends it again with curl; OLLAMA_HOST says where to
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu::server {

class RequestRecorder {
 public:
  // Makes the folder below `parent` (a temporary folder). `address`: where this server listens.
  static Result<std::unique_ptr<RequestRecorder>> create(const std::string& parent, std::string address);

  const std::string& folder() const { return folder_; }
  // Path: "/api/chat"; others than those that ask a model are not recorded. What cannot be written is logged.
  void record(std::string_view path, std::string_view body);

 private:
  RequestRecorder(std::string folder, std::string address)
      : folder_(std::move(folder)), address_(std::move(address)) {}

  const std::string folder_, address_;
  std::atomic<uint64_t> n_{0}, bytes_{0};
};

}  // namespace quipu::server

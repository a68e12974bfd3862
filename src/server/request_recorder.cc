#include "server/request_recorder.h"

#include <fmt/chrono.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/log.h"

namespace quipu::server {

namespace {

// A server that runs for weeks must not fill the disk because somebody forgot a variable.
constexpr uint64_t kMostBytes = uint64_t{1} << 30;

constexpr std::array<std::string_view, 9> kRecorded = {
    "/api/generate",   "/api/chat",      "/api/embed",    "/api/embeddings", "/v1/chat/completions",
    "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"};

std::string base_name(std::string_view path, uint64_t n) {
  std::string route(path.substr(path.find('/', 1) + 1));
  std::ranges::replace(route, '/', '_');
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto ms = now.time_since_epoch().count() % 1000;
  return fmt::format("{:%Y%m%dT%H%M%S}.{:03}_{}_{}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     ms, n, route);
}

bool write_file(const std::string& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  return static_cast<bool>(out);
}

}  // namespace

Result<std::unique_ptr<RequestRecorder>> RequestRecorder::create(const std::string& parent,
                                                                 std::string address) {
  std::string folder = parent + "/quipu-requests-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr)
    return error(Code::kIo, "cannot make a folder for requests below {}: {}", parent, std::strerror(errno));
  return std::unique_ptr<RequestRecorder>(new RequestRecorder(std::move(folder), std::move(address)));
}

void RequestRecorder::record(std::string_view path, std::string_view body) {
  if (std::ranges::find(kRecorded, path) == kRecorded.end()) return;
  const uint64_t before = bytes_.fetch_add(body.size());
  if (before >= kMostBytes) return;
  if (before + body.size() >= kMostBytes)
    spdlog::warn("{} holds {} MiB of requests: no more are recorded", folder_, kMostBytes >> 20);
  const std::string base = folder_ + "/" + base_name(path, ++n_);
  // The route is one of the list above: nothing of what a client sent stands in the script.
  const std::string script = fmt::format(
      "#!/bin/sh\n"
      "# Sends the request again. OLLAMA_HOST: another server; OLLAMA_API_KEY: a key, where one is needed.\n"
      "curl -sS -N -X POST \"${{OLLAMA_HOST:-{0}}}{1}\" -H 'Content-Type: application/json' \\\n"
      "  ${{OLLAMA_API_KEY:+-H \"Authorization: Bearer $OLLAMA_API_KEY\"}} \\\n"
      "  --data-binary \"@${{0%_request.sh}}_body.json\"\n",
      address_, path);
  const std::string script_path = base + "_request.sh";
  if (!write_file(base + "_body.json", body) || !write_file(script_path, script))
    return spdlog::warn("cannot record a request in {}: {}", folder_, std::strerror(errno));
  std::error_code ignored;
  std::filesystem::permissions(script_path, std::filesystem::perms::owner_all, ignored);
}

}  // namespace quipu::server

// Any bytes as requests and as an answer. The first byte says in which pieces they come, which must make no
// difference to what is understood.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/request_parser.h"
#include "http/response_parser.h"

namespace {

using namespace quipu::http;

constexpr uint32_t kHeaderBytes = 512;
constexpr uint64_t kBodyBytes = 4096;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string all_of(const Headers& headers) {
  std::string text;
  for (const auto& [name, value] : headers) text += name + "=" + value + "\n";
  return text;
}

// Every request in the bytes, as text, until one is wrong or unfinished.
std::vector<std::string> requests_in(std::string_view bytes, size_t step) {
  std::vector<std::string> found;
  std::string in;
  auto parser = std::make_unique<RequestParser>(kHeaderBytes);
  bool chosen = false;
  while (!bytes.empty()) {
    in.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    while (!in.empty()) {
      in.erase(0, parser->feed(in));
      if (!parser->failed() && parser->header_done() && !std::exchange(chosen, true)) {
        parser->choose_body(kBodyBytes);
        if (!parser->failed() && !parser->done()) continue;
      }
      if (parser->failed()) {
        require(parser->status() >= 400);
        return found;
      }
      require(in.size() <= kHeaderBytes || parser->done());
      if (!parser->done()) break;
      const Request r = parser->take();
      require(r.body.size() <= kBodyBytes && all_of(r.headers).size() <= kHeaderBytes);
      found.push_back(r.method + " " + r.target + "\n" + all_of(r.headers) + "\n" + r.body);
      parser = std::make_unique<RequestParser>(kHeaderBytes);
      chosen = false;
    }
  }
  return found;
}

// The answer as text; empty: none.
std::string answer_in(std::string_view bytes, size_t step) {
  ResponseParser parser({.header_bytes = kHeaderBytes, .body_bytes = kBodyBytes}, false, nullptr);
  std::string in;
  while (!bytes.empty() && !parser.done()) {
    in.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    const auto taken = parser.feed(in);
    if (!taken) return {};
    in.erase(0, *taken);
    require(in.size() <= kHeaderBytes || parser.done());
  }
  if (!parser.done() && !parser.feed_end()) return {};
  const Response r = parser.take();
  require(r.status >= 200 && r.body.size() <= kBodyBytes);
  return std::to_string(r.status) + "\n" + all_of(r.headers) + "\n" + r.body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t step = 1 + data[0] % 64;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  require(requests_in(bytes, step) == requests_in(bytes, bytes.size()));
  require(answer_in(bytes, step) == answer_in(bytes, bytes.size()));
  return 0;
}

// A server's native interface, as this program uses it. Spec: ollama-compat 1.
//
// Errors of all calls: what the server said, in its words, with a code by the status (404: kNotFound, 400:
// kInvalidArgument, 507: kOutOfMemory, with the plan that does not fit as a table below the sentence);
// kUnavailable where no answer came; kCancelled where a signal or a callback ended it.
#pragma once

#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"
#include "cli/json.h"
#include "http/upload.h"

namespace quipu::cli {

struct ServerVersion {
  std::string ollama;  // the level of Ollama's interface; empty: it did not say
  std::string quipu;   // empty: an Ollama
  bool is_quipu() const { return !quipu.empty(); }
};

// Threads: one call at a time; callbacks run on the caller's thread.
class Api {
 public:
  virtual ~Api() = default;

  // One object; null where the answer has no body. A null `body` is not sent.
  virtual Result<Json> call(std::string_view method, const std::string& path, const Json& body = nullptr) = 0;

  // The objects of a stream. on_idle is called about every 100 ms while nothing comes. When one of them
  // returns false the request is cancelled. A server's refusal is prefixed with its status line, as in
  // Ollama: "400 Bad Request: ..."; a private server's, which nobody asked for by name, is the sentence
  // alone.
  virtual Result<void> stream(const std::string& path, const Json& body,
                              FunctionRef<bool(const Json& line)> on_line, FunctionRef<bool()> on_idle) = 0;

  // POSTs a file's bytes; on_idle as above.
  virtual Result<void> upload(const std::string& path, const http::Upload& body,
                              FunctionRef<bool()> on_idle) = 0;

  virtual const ServerVersion& version() const = 0;
  virtual std::string where() const = 0;  // for messages
};

// The error of an answer that is no success. `in_stream`: with its status line.
Error refusal(int status, std::string_view body, bool in_stream);
// Of a line {"error":...} in a stream, and the same from a server process that could not start.
Error failure_of(const Json& line, std::string_view otherwise);

}  // namespace quipu::cli

#include "runner/respond.h"

namespace quipu::runner {

int error_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kUnsupported:
      return 501;
    case Code::kOutOfMemory:
      return 507;
    case Code::kCancelled:
    case Code::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

Json error_json(const Error& e) { return {{"error", e.message}, {"code", code_name(e.code)}}; }

void respond(http::Exchange& exchange, int status, const Json& body) {
  exchange.respond({.status = status,
                    .headers = {{"Content-Type", "application/json; charset=utf-8"}},
                    .body = dump(body) + "\n"});
}

void respond_error(http::Exchange& exchange, const Error& e) {
  respond(exchange, error_status(e.code), error_json(e));
}

}  // namespace quipu::runner

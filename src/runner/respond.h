// Whole answers, and errors as answers: docs/runner-protocol.md.
#pragma once

#include "base/result.h"
#include "http/exchange.h"
#include "runner/json_body.h"

namespace quipu::runner {

// HTTP status of an error's code, and {"error":"one sentence","code":"snake_case"}.
int error_status(Code code);
Json error_json(const Error& e);

void respond(http::Exchange& exchange, int status, const Json& body);
void respond_error(http::Exchange& exchange, const Error& e);

}  // namespace quipu::runner

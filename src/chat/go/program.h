// An interpreter for Go's text/template (as of Go 1.26), with the option missingkey=zero and the functions
// json, currentDate, yesterdayDate and toTypeScriptType. Templates come from strangers: steps, recursion and
// output are bounded.
//
// Errors carry Go's messages ("template: :1: unclosed action"); all are kCorrupt.
//
// Threads: a Program never changes; execute() may run from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/go/budget.h"
#include "chat/go/limits.h"
#include "chat/go/parser.h"
#include "chat/go/value.h"

namespace quipu::gotmpl {

class Program {
 public:
  static Result<Program> parse(std::string_view source, const Limits& limits = {});

  const Definitions& definitions() const { return *definitions_; }
  // The main template: text, actions and branches in order.
  const ListPtr& root() const { return definitions_->find("")->second; }
  // Other templates made of this one's nodes. The main one is among them.
  Program with_definitions(Definitions definitions) const;

  // Adds to `out`; after an error, what was written before it stays. now_unix: seconds since 1970, UTC.
  // `budget`: what this and other executions may use together; it is on the same thread.
  Result<void> execute(const Value& data, int64_t now_unix, std::string& out, Budget& budget) const;
  Result<void> execute(const Value& data, int64_t now_unix, std::string& out) const;

  const Limits& limits() const { return limits_; }

 private:
  Program(Limits limits, std::string_view source, Definitions definitions)
      : limits_(limits),
        source_(std::make_shared<const std::string>(source)),
        definitions_(std::make_shared<const Definitions>(std::move(definitions))) {}

  Limits limits_;
  std::shared_ptr<const std::string> source_;  // what nodes' positions count in
  std::shared_ptr<const Definitions> definitions_;
};

}  // namespace quipu::gotmpl

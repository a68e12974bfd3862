// What holds this machine back, and what to do about it: the findings of `quipu doctor` and /api/doctor.
// The root of /proc and /sys is a parameter, so that recorded trees can be tests.
//
// Threads: functions of what the system says.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "memory/machine.h"

namespace quipu::doctor {

enum class Status { kOk, kWarn, kError };

struct Finding {
  std::string name;  // "threads"
  Status status = Status::kOk;
  std::string text;
  std::string remedy = {};  // of kWarn and kError
};

// The instruction set in use against the best of the processor.
Finding examine_isa(Isa used, Isa best);
std::vector<Finding> examine_processor(const std::string& root = "");
std::vector<Finding> examine_memory(const memory::Machine& machine, const std::string& root = "");
Finding examine_store(const std::string& path);
// Who listens on a TCP port of this machine. `serves`: a server for models answers there, which nothing else
// should be in the way of.
Finding examine_port(uint16_t port, bool serves, const std::string& root = "");

Status worst(const std::vector<Finding>& findings);
const char* status_name(Status s);  // "ok", "warn", "error"

// {"status":"ok","findings":[{"name","status","text","remedy"?}…]}
nlohmann::ordered_json findings_json(const std::vector<Finding>& findings);

}  // namespace quipu::doctor

#include "engine/request.h"

namespace quipu {

const char* stop_reason_name(StopReason r) {
  switch (r) {
    case StopReason::kEos:
      return "eos";
    case StopReason::kStop:
      return "stop";
    case StopReason::kLength:
      return "length";
    case StopReason::kContext:
      return "context";
    case StopReason::kRepetition:
      return "repetition";
    case StopReason::kTime:
      return "time";
    case StopReason::kMemory:
      return "memory";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

const char* done_reason(StopReason r) {
  switch (r) {
    case StopReason::kEos:
    case StopReason::kStop:
    case StopReason::kRepetition:
      return "stop";
    default:
      return "length";
  }
}

}  // namespace quipu

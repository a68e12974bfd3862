// Guards of the interpreter: a call in progress, and text that is caught instead of printed.
//
// Threads: as Interp.
#pragma once

#include <string>
#include <utility>

#include "chat/jinja/interp.h"

namespace quipu::jinja {

// A function runs in a frame of its own until this ends.
class Interp::Running {
 public:
  Running(Interp& interp, Ref<Frame> frame)
      : interp_(interp), nested_(interp.budget_), outer_(std::move(frame)) {
    std::swap(interp_.frame_, outer_);
  }
  ~Running() { std::swap(interp_.frame_, outer_); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Interp& interp_;
  Nested nested_;
  Ref<Frame> outer_;
};

class Interp::Capture {
 public:
  explicit Capture(Interp& interp) : interp_(interp), text_(interp.budget_), outer_(interp.out_) {
    interp_.out_ = &text_;
  }
  ~Capture() { interp_.out_ = outer_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  // Ends the capture.
  std::string take() {
    interp_.out_ = outer_;
    return text_.take();
  }

 private:
  Interp& interp_;
  TextBuilder text_;
  TextBuilder* outer_;
};

}  // namespace quipu::jinja

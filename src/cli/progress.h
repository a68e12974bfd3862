// How long work goes on, on standard error: steps with a turning sign, transfers with bars, redrawn in place.
// Without a terminal each step is a plain line. Spec: ollama-compat 3.6.
//
// Threads: the main thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "cli/console.h"

namespace quipu::cli {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Progress(Console& console) : console_(console) {}
  ~Progress();  // leaves what was shown last, without the sign
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // A step; the one before it is over. The same text again is the same step.
  void step(const std::string& text);
  // The last step's text in another form, such as with a percentage, which is no step of its own.
  void update(const std::string& text);
  // How far a transfer is; the label is its name.
  void transfer(const std::string& label, uint64_t completed, uint64_t total);
  // Redraws when it is time. Call it about every 100 ms.
  void tick();

  // Work that ended without success leaves nothing on a terminal but what was there.
  void clear();

 private:
  struct Item {
    std::string label;
    bool is_transfer = false, done = false;
    uint64_t completed = 0, total = 0, first = 0;
    Clock::time_point began = Clock::now();
  };

  void draw(bool last);
  std::string line_of(const Item& item, bool last) const;

  Console& console_;
  std::vector<Item> items_;
  size_t drawn_ = 0;  // lines on the terminal, the cursor in the one below them
  size_t frame_ = 0;
  Clock::time_point drawn_at_{};
};

// A bar of `columns` columns: "pulling 941f309b54ca:  37% ▕███   ▏  36 MB/ 98 MB   12 MB/s     5s".
// bytes_per_second 0: not known yet.
std::string bar_line(std::string_view label, uint64_t completed, uint64_t total, double bytes_per_second,
                     int columns);

}  // namespace quipu::cli

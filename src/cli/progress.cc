#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"
#include "cli/human.h"
#include "cli/render.h"
#include "cli/text_table.h"

namespace quipu::cli {

namespace {

using std::chrono::duration;
using std::chrono::milliseconds;

constexpr milliseconds kInterval{100};

// "5s", "3m2s", "1h4m", "99h+"
std::string time_left(double seconds) {
  if (!(seconds < 100 * 3600)) return "99h+";
  const auto s = static_cast<int64_t>(seconds);
  if (s >= 3600) return fmt::format("{}h{}m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{}m{}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

std::string cut(const std::string& line, int columns) {
  std::string out;
  int width = 0;
  std::string_view rest = line;
  while (!rest.empty()) {
    size_t n = 0;
    width += code_point_width(decode_utf8(rest, &n));
    if (width > columns) break;
    out += rest.substr(0, n);
    rest.remove_prefix(n);
  }
  return out;
}

}  // namespace

std::string bar_line(std::string_view label, uint64_t completed, uint64_t total, double bytes_per_second,
                     int columns) {
  completed = std::min(completed, total);
  const double share = total > 0 ? static_cast<double>(completed) / static_cast<double>(total) : 1;
  const bool done = completed == total;
  const std::string before = fmt::format("{} {:3.0f}%", label, std::floor(share * 100));
  std::string after;
  if (done)
    after = fmt::format("{:>6}{:25}", human_bytes(total), "");
  else if (bytes_per_second > 0)
    after = fmt::format("{:>6}/{:>6}  {:>6}/s  {:>6}", human_bytes(completed), human_bytes(total),
                        human_bytes(static_cast<uint64_t>(bytes_per_second)),
                        time_left(static_cast<double>(total - completed) / bytes_per_second));
  else
    after = fmt::format("{:>6}/{:>6}{:18}", human_bytes(completed), human_bytes(total), "");
  // Two marks and the blanks around them, and one column left free at the terminal's edge.
  const int room = columns - static_cast<int>(display_width(before) + display_width(after)) - 5;
  std::string out = before;
  if (room > 0) {
    const int full = static_cast<int>(room * share);
    out += " ▕";
    for (int i = 0; i < full; ++i) out += "█";
    out.append(static_cast<size_t>(room - full), ' ');
    out += "▏ ";
  } else {
    out += " ";
  }
  return out + after;
}

Progress::~Progress() { draw(true); }

void Progress::step(const std::string& text) {
  if (!items_.empty() && !items_.back().is_transfer && !items_.back().done && items_.back().label == text)
    return;
  if (!items_.empty()) items_.back().done = true;
  items_.push_back({.label = text});
  if (!console_.err_has_cursor()) console_.err_line(text);
  draw(false);
}

void Progress::update(const std::string& text) {
  if (!items_.empty()) items_.back().label = text;
  tick();
}

void Progress::transfer(const std::string& label, uint64_t completed, uint64_t total) {
  const auto it =
      std::ranges::find_if(items_, [&](const Item& i) { return i.is_transfer && i.label == label; });
  if (it != items_.end()) {
    it->completed = completed;
    it->total = total;
    return tick();
  }
  for (Item& i : items_) i.done |= !i.is_transfer;
  items_.push_back(
      {.label = label, .is_transfer = true, .completed = completed, .total = total, .first = completed});
  if (!console_.err_has_cursor()) console_.err_line(fmt::format("{} {}", label, human_bytes(total)));
  draw(false);
}

void Progress::tick() {
  if (Clock::now() - drawn_at_ >= kInterval) draw(false);
}

void Progress::clear() {
  items_.clear();
  draw(true);
}

std::string Progress::line_of(const Item& item, bool last) const {
  static constexpr std::array kFrames = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  if (!item.is_transfer) {
    const std::string label = printable(item.label);
    return item.done || last ? label + " " : label + " " + kFrames[frame_ % kFrames.size()] + " ";
  }
  const double seconds = duration<double>(Clock::now() - item.began).count();
  const double moved = static_cast<double>(item.completed - std::min(item.first, item.completed));
  return bar_line(printable(item.label), item.completed, item.total, seconds > 0.5 ? moved / seconds : 0,
                  console_.err_columns());
}

void Progress::draw(bool last) {
  if (!console_.err_has_cursor()) return;
  if (drawn_ == 0 && items_.empty()) return;
  drawn_at_ = Clock::now();
  ++frame_;
  // What has scrolled out of a small terminal cannot be drawn again: the latest lines are shown.
  const auto rows = static_cast<size_t>(std::max(console_.err_rows() - 1, 1));
  const size_t first = last || items_.size() <= rows ? 0 : items_.size() - rows;
  std::string out = drawn_ > 0 ? fmt::format("\x1b[{}A\r\x1b[J", drawn_) : "\r";
  for (size_t i = first; i < items_.size(); ++i)
    out += cut(line_of(items_[i], last), console_.err_columns() - 1) + "\n";
  drawn_ = items_.size() - first;
  console_.err(out);
}

}  // namespace quipu::cli

#include "gguf/shrink_guard.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "gguf/file.h"

namespace quipu::gguf {

// A slot is never freed, only used again, so that the handler can walk the list at any moment.
struct ShrinkGuard::Slot {
  std::atomic<bool> taken{true};
  std::atomic<uintptr_t> begin{0}, end{0};
  std::array<char, 1024> path{};
  Slot* next = nullptr;
};

// A signal handler has no context but a static one.
class ShrinkHandler {
 public:
  using Slot = ShrinkGuard::Slot;

  static Slot* acquire() {
    for (Slot* s = head_.load(); s != nullptr; s = s->next)
      if (!s->taken.exchange(true)) return s;
    auto* s = new Slot;
    s->next = head_.load();
    while (!head_.compare_exchange_weak(s->next, s)) {
    }
    return s;
  }

  // Only async-signal-safe calls.
  static void on_bus_error(int, siginfo_t* info, void*) {
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    for (const Slot* s = head_.load(); s != nullptr; s = s->next) {
      if (address < s->begin.load() || address >= s->end.load()) continue;
      std::array<char, 1200> text;
      size_t n = append(text, 0, "Error: ");
      n = append(text, n, s->path.data());
      n = append(text, n, " became shorter or unreadable while it was in use; the model cannot go on\n");
      const ssize_t ignored = write(STDERR_FILENO, text.data(), n);  // in one piece: other threads write too
      (void)ignored;
      _exit(1);
    }
    signal(SIGBUS, SIG_DFL);
    raise(SIGBUS);
  }

 private:
  static size_t append(std::array<char, 1200>& text, size_t at, const char* s) {
    while (*s != 0 && at < text.size()) text[at++] = *s++;
    return at;
  }

  static std::atomic<Slot*> head_;
};

std::atomic<ShrinkGuard::Slot*> ShrinkHandler::head_{nullptr};

ShrinkGuard::ShrinkGuard(std::span<const std::byte> range, const std::string& path)
    : slot_(ShrinkHandler::acquire()) {
  // The end of a long path says more than its beginning.
  const size_t n = std::min(path.size(), slot_->path.size() - 1);
  std::memcpy(slot_->path.data(), path.data() + path.size() - n, n);
  slot_->path[n] = 0;
  slot_->begin.store(reinterpret_cast<uintptr_t>(range.data()));
  slot_->end.store(reinterpret_cast<uintptr_t>(range.data()) + range.size());
}

ShrinkGuard::~ShrinkGuard() {
  if (slot_ == nullptr) return;
  slot_->end.store(0);
  slot_->begin.store(0);
  slot_->taken.store(false);
}

void guard_mappings() {
  struct sigaction action{};
  action.sa_sigaction = ShrinkHandler::on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace quipu::gguf

#include "memory/shared_budget.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/checked.h"

namespace quipu::memory {

namespace {

constexpr uint64_t kMagic = 0x7175697075303031;  // both ends are one program; this is for a wrong descriptor
// Above those that a child gets, so that one is not overwritten while another is put in its place.
constexpr int kLeastDescriptor = 10;

uint64_t add(uint64_t a, uint64_t b) { return checked_add(a, b).value_or(UINT64_MAX); }

std::unexpected<Error> failed(const char* what) {
  return error(Code::kIo, "cannot {}: {}", what, std::strerror(errno));
}

int moved_up(int fd) {
  const int above = ::fcntl(fd, F_DUPFD_CLOEXEC, kLeastDescriptor);
  ::close(fd);
  return above;
}

}  // namespace

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int32_t>::is_always_lock_free);

struct SharedBudget::Page {
  uint64_t magic = kMagic;
  uint64_t has_limit = 0, limit = 0, reserve = 0;  // does not change
  BudgetSlot slots[kSlots];
};

uint64_t BudgetSlot::charge() const { return add(fixed, std::max(kv_floor.load(), kv.load())); }

uint64_t BudgetSlot::rise(uint64_t kv_more) const {
  const uint64_t now = std::max(kv_floor.load(), kv.load()), then = add(kv, kv_more);
  return then - std::min(then, now);
}

uint64_t BudgetSlot::above_floor() const {
  const uint64_t floor = kv_floor, now = kv;
  return now - std::min(now, floor);
}

Result<std::unique_ptr<SharedBudget>> SharedBudget::create(const Bounds& bounds, const std::string& root) {
  std::unique_ptr<SharedBudget> b(new SharedBudget());
  const int page = ::memfd_create("quipu-budget", MFD_CLOEXEC);
  if (page < 0) return failed("make a page for the budget");
  b->page_fd_ = moved_up(page);
  const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (bell < 0) return failed("make a bell for the budget");
  b->bell_fd_ = moved_up(bell);
  if (b->page_fd_ < 0 || b->bell_fd_ < 0) return failed("move a descriptor of the budget");
  if (::ftruncate(b->page_fd_, sizeof(Page)) != 0) return failed("make a page for the budget");
  QUIPU_TRY(b->map());
  new (b->page_) Page();
  const Machine m = probe_machine({.root = root, .bounds = bounds});
  b->page_->has_limit = m.limit ? 1 : 0;
  b->page_->limit = m.limit.value_or(0);
  b->page_->reserve = m.reserve;
  return b;
}

Result<std::unique_ptr<SharedBudget>> SharedBudget::inherit(int page, int bell) {
  std::unique_ptr<SharedBudget> b(new SharedBudget());
  struct stat facts{};
  if (::fstat(page, &facts) != 0 || facts.st_size != static_cast<off_t>(sizeof(Page)) ||
      ::fcntl(bell, F_GETFD) < 0)
    return error(Code::kInvalidArgument, "no budget was inherited");
  b->page_fd_ = page;
  b->bell_fd_ = bell;
  ::fcntl(page, F_SETFD, FD_CLOEXEC);
  ::fcntl(bell, F_SETFD, FD_CLOEXEC);
  QUIPU_TRY(b->map());
  if (b->page_->magic != kMagic) return error(Code::kInvalidArgument, "what was inherited is no budget");
  return b;
}

Result<void> SharedBudget::map() {
  void* at = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, page_fd_, 0);
  if (at == MAP_FAILED) return failed("map the budget");
  page_ = static_cast<Page*>(at);
  return {};
}

SharedBudget::~SharedBudget() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
  for (const int fd : {page_fd_, bell_fd_})
    if (fd >= 0) ::close(fd);
}

void SharedBudget::ring() const {
  const uint64_t one = 1;
  if (::write(bell_fd_, &one, sizeof one) < 0) return;  // it rings already
}

std::optional<size_t> SharedBudget::take_slot() {
  for (size_t i = 0; i < kSlots; ++i) {
    uint32_t untaken = 0;
    if (page_->slots[i].taken.compare_exchange_strong(untaken, 1)) return i;
  }
  return std::nullopt;
}

void SharedBudget::clear_slot(size_t i) {
  BudgetSlot& s = slot(i);
  s.pid = 0;
  for (std::atomic<uint64_t>* n : {&s.fixed, &s.kv_floor, &s.kv, &s.wanted, &s.answers, &s.preemptions})
    *n = 0;
  s.waits = 0;
  s.taken = 0;
}

BudgetSlot& SharedBudget::slot(size_t i) const { return page_->slots[std::min(i, kSlots - 1)]; }

uint64_t SharedBudget::admitted() const {
  uint64_t sum = 0;
  for (const BudgetSlot& s : page_->slots)
    if (s.taken != 0) sum = add(sum, s.charge());
  return sum;
}

uint64_t SharedBudget::fixed() const {
  uint64_t sum = 0;
  for (const BudgetSlot& s : page_->slots)
    if (s.taken != 0) sum = add(sum, s.fixed);
  return sum;
}

bool SharedBudget::others_go_on(const BudgetSlot& except) const {
  return std::any_of(std::begin(page_->slots), std::end(page_->slots), [&](const BudgetSlot& s) {
    return &s != &except && s.taken != 0 && s.charge() > 0 && s.waits == 0;
  });
}

Machine SharedBudget::machine(const std::string& root) const {
  Probe probe{.root = root};
  probe.bounds.reserve = ByteShare{.bytes = page_->reserve};
  if (page_->has_limit != 0) probe.bounds.memory = ByteShare{.bytes = page_->limit};
  for (const BudgetSlot& s : page_->slots)
    if (const int32_t pid = s.pid; s.taken != 0 && pid > 0) probe.runners.push_back(pid);
  Machine m = probe_machine(probe);
  m.admitted = admitted();
  return m;
}

}  // namespace quipu::memory

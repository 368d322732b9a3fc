#include "doctor/audit/preload/record.h"

#include <execinfo.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace forktail::doctor::preload {

namespace {

constexpr int kRecords = 4096;  // more than a program makes at load; what comes after is not known
constexpr int kOurFrames = 2;   // note() and the function that stands in front

std::array<Record, kRecords> records;
std::atomic<int> used = 0;
std::atomic<bool> on = false;
std::atomic_flag guard;
thread_local bool busy = false;
thread_local std::int64_t last = -1;
std::array<char, 4096> report{};

class Guard {
 public:
  Guard() {
    while (guard.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~Guard() { guard.clear(std::memory_order_release); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
};

// A program that this one starts is not examined: it gets the environment that the doctor had.
__attribute__((constructor)) void take_environment() {
  if (const char* file = getenv(kReportVariable)) {
    std::strncpy(report.data(), file, report.size() - 1);
  }
  unsetenv(kReportVariable);
  if (const char* before = getenv(kPreloadVariable)) {
    setenv("LD_PRELOAD", before, 1);
    unsetenv(kPreloadVariable);
  } else {
    unsetenv("LD_PRELOAD");
  }
}

Record* find_slot(Made made, std::int64_t number) noexcept {
  const int count = used.load(std::memory_order_acquire);
  for (int i = 0; i < count; ++i) {
    Record& record = records[static_cast<std::size_t>(i)];
    if (record.depth > 0 && record.made == made && record.number == number) {
      return &record;
    }
  }
  return nullptr;
}

Record* free_slot() noexcept {
  const int count = used.load(std::memory_order_acquire);
  if (count < kRecords) {
    used.store(count + 1, std::memory_order_release);
    return &records[static_cast<std::size_t>(count)];
  }
  for (Record& record : records) {
    if (record.depth == 0) {
      return &record;
    }
  }
  return nullptr;
}

// The stack of the function that stands in front of the C library's, as seen from note() or
// reserve(): inlined, so that the frames to leave out are always as many.
__attribute__((always_inline)) inline Record stack(Made made, std::int64_t number) noexcept {
  Record record{made, 0, number, -1, {}};
  std::array<void*, Record::kDepth + kOurFrames> frames{};
  const int depth = backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = kOurFrames; i < depth; ++i) {
    record.frames[record.depth++] = frames[static_cast<std::size_t>(i)];
  }
  return record;
}

void begin() noexcept {
  void* once = nullptr;
  backtrace(&once, 1);  // loads the unwinder, which is no doing of the application's
  on = true;
}

void end() noexcept { on = false; }

const Record* find(Made made, std::int64_t number) noexcept {
  const Guard hold;
  return find_slot(made, number);
}

const Record* each(Made made, int index) noexcept {
  const Guard hold;
  const int count = used.load(std::memory_order_acquire);
  for (int i = 0; i < count; ++i) {
    const Record& record = records[static_cast<std::size_t>(i)];
    if (record.depth > 0 && record.made == made && index-- == 0) {
      return &record;
    }
  }
  return nullptr;
}

__attribute__((always_inline)) inline void take_note(Made made, std::int64_t number,
                                                     std::int64_t descriptor,
                                                     bool first_only) noexcept {
  if (!recording()) {
    return;
  }
  const int error = errno;
  busy = true;
  Record taken = stack(made, number);
  taken.descriptor = descriptor;
  {
    const Guard hold;
    Record* slot = find_slot(made, number);
    if (slot == nullptr || !first_only) {
      slot = slot != nullptr ? slot : free_slot();
      if (slot != nullptr) {
        *slot = taken;
      }
    }
  }
  busy = false;
  errno = error;
}

}  // namespace

bool recording() noexcept { return on.load(std::memory_order_relaxed) && !busy; }

// Each keeps a frame of its own, which stack() counts on.
__attribute__((noinline)) void note(Made made, std::int64_t number) noexcept {
  if (made == Made::descriptor) {
    last = number;
  }
  take_note(made, number, -1, false);
}

__attribute__((noinline)) void note_first(Made made, std::int64_t number) noexcept {
  take_note(made, number, -1, true);
}

__attribute__((noinline)) void note_with(Made made, std::int64_t number,
                                         std::int64_t descriptor) noexcept {
  take_note(made, number, descriptor, false);
}

std::int64_t last_descriptor() noexcept { return last; }

void forget(Made made, std::int64_t number) noexcept {
  if (on.load(std::memory_order_relaxed)) {
    const Guard hold;
    if (Record* record = find_slot(made, number)) {
      record->depth = 0;
    }
  }
}

__attribute__((noinline)) Record* reserve(Made made) noexcept {
  if (!recording()) {
    return nullptr;
  }
  const int error = errno;
  busy = true;
  const Record taken = stack(made, -1);
  Record* slot = nullptr;
  {
    const Guard hold;
    slot = free_slot();
    if (slot != nullptr) {
      *slot = taken;
    }
  }
  busy = false;
  errno = error;
  return slot;
}

void settle(Record* record, std::int64_t number) noexcept {
  if (record != nullptr) {
    const Guard hold;
    record->number = number;
  }
}

bool settled(const Record* record) noexcept {
  const Guard hold;
  return record->number >= 0;
}

void drop(Record* record) noexcept {
  const Guard hold;
  record->depth = 0;
}

}  // namespace forktail::doctor::preload

extern "C" __attribute__((visibility("default")))
const forktail::doctor::RecorderApi forktail_doctor_recorder = {
    forktail::doctor::kRecorderVersion, forktail::doctor::preload::begin,
    forktail::doctor::preload::end,     forktail::doctor::preload::find,
    forktail::doctor::preload::each,    forktail::doctor::preload::report.data()};

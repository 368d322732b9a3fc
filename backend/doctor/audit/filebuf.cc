#include "doctor/audit/filebuf.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace forktail::doctor {

namespace {

// The beginning of a std::streambuf in the Itanium C++ ABI's libstdc++: the virtual table, then
// the get area's three pointers, then the put area's.
struct Layout {
  std::uint64_t table;
  std::array<std::uint64_t, 3> get;
  std::uint64_t put_begin;
  std::uint64_t put_next;
  std::uint64_t put_end;
};

// The object may be gone without a close that was seen, its memory unmapped.
bool read_safely(std::int64_t address, Layout& layout) {
  iovec ours{&layout, sizeof(layout)};
  iovec theirs{reinterpret_cast<void*>(address), sizeof(layout)};
  return process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0) ==
         static_cast<ssize_t>(sizeof(layout));
}

bool plausible(const Layout& layout) {
  constexpr std::uint64_t kLargest = 64U << 20;
  return layout.put_begin != 0 && layout.put_next > layout.put_begin &&
         layout.put_end >= layout.put_next && layout.put_end - layout.put_begin <= kLargest &&
         !frame_of(reinterpret_cast<const void*>(layout.table)).object.empty();
}

}  // namespace

std::vector<PendingFilebuf> pending_filebufs() {
  std::vector<PendingFilebuf> pending;
  const RecorderApi* api = recorder();
  const Record* record = nullptr;
  for (int i = 0; api != nullptr && (record = api->each(Made::filebuf, i)) != nullptr; ++i) {
    Layout layout{};
    const auto descriptor = static_cast<int>(record->descriptor);
    if (fcntl(descriptor, F_GETFD) >= 0 && read_safely(record->number, layout) &&
        plausible(layout)) {
      pending.push_back({descriptor, static_cast<std::size_t>(layout.put_next - layout.put_begin),
                         stack_of(*record)});
    }
  }
  return pending;
}

}  // namespace forktail::doctor

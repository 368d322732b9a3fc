#include "server/os/stack_trace.h"

#include <execinfo.h>
#include <link.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <vector>

namespace forktail::server {

namespace {

struct Object {
  std::uintptr_t base;
  std::uintptr_t begin;
  std::uintptr_t end;
  std::array<char, 64> name;
  std::size_t name_size;
};

// A handler may be reading it, so it is replaced as a whole and never freed: the next one keeps it.
struct Objects {
  std::vector<Object> all;
  const Objects* former;
};
std::atomic<const Objects*> objects = nullptr;

std::string_view file_name(const dl_phdr_info& info) {
  const std::string_view path = info.dlpi_name;
  // The program itself comes first and without a name.
  return path.empty() ? program_invocation_short_name : path.substr(path.rfind('/') + 1);
}

int note_object(dl_phdr_info* info, std::size_t, void* list) {
  Object object{info->dlpi_addr, UINTPTR_MAX, 0, {}, 0};
  for (const ElfW(Phdr) & part : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    if (part.p_type == PT_LOAD) {
      object.begin = std::min(object.begin, info->dlpi_addr + part.p_vaddr);
      object.end = std::max(object.end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
    }
  }
  object.name_size = file_name(*info).copy(object.name.data(), object.name.size());
  static_cast<std::vector<Object>*>(list)->push_back(object);
  return 0;
}

std::size_t describe(std::uintptr_t address, std::span<char> out) {
  std::size_t size = 0;
  const auto put = [&](std::string_view text) {
    size += text.copy(out.data() + size, out.size() - size);
  };
  for (const Object& object : objects.load()->all) {
    if (address >= object.begin && address < object.end) {
      put({object.name.data(), object.name_size});
      put("+");
      address -= object.base;
      break;
    }
  }
  put("0x");
  const auto end = std::to_chars(out.data() + size, out.data() + out.size(), address, 16).ptr;
  return static_cast<std::size_t>(end - out.data());
}

// Where the signal struck; null where this is not known of the processor.
void* struck_at(const void* signal_context) {
  if (signal_context == nullptr) {
    return nullptr;
  }
  const mcontext_t& machine = static_cast<const ucontext_t*>(signal_context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<void*>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return reinterpret_cast<void*>(machine.pc);
#else
  static_cast<void>(machine);
  return nullptr;
#endif
}

}  // namespace

void note_loaded_objects() {
  auto* noted = new Objects{{}, objects};
  dl_iterate_phdr(note_object, &noted->all);
  objects = noted;
  // The first call loads libgcc, which allocates.
  void* address = nullptr;
  backtrace(&address, 1);
}

[[gnu::noinline]] StackTrace::StackTrace(const void* signal_context) noexcept {
  constexpr int kHandlers = 8;  // frames above the one where the signal struck
  std::array<void*, kMost + kHandlers> addresses;
  const int found = backtrace(addresses.data(), static_cast<int>(addresses.size()));
  const auto end = addresses.begin() + found;
  auto first = addresses.begin() + std::min(found, 1);  // without this function
  if (const auto struck = std::find(first, end, struck_at(signal_context)); struck != end) {
    first = struck;
  }
  for (auto address = first; address != end && count_ < kMost; ++address, ++count_) {
    auto& text = texts_[count_];
    frames_[count_] = {text.data(), describe(reinterpret_cast<std::uintptr_t>(*address), text)};
  }
}

}  // namespace forktail::server

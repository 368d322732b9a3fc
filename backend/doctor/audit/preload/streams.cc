// In front of std::filebuf: glibc lists its streams, libstdc++ does not, and what such a one holds
// in its buffer is written by each worker that goes on with it.
#include <fstream>

#include "doctor/audit/preload/record.h"

namespace preload = forktail::doctor::preload;
using forktail::doctor::Made;

namespace {

using Buffer = std::filebuf;

}  // namespace

extern "C" {

__attribute__((visibility("default"))) Buffer*
_ZNSt13basic_filebufIcSt11char_traitsIcEE4openEPKcSt13_Ios_Openmode(Buffer* self, const char* path,
                                                                    std::ios_base::openmode mode) {
  using Real = Buffer*(Buffer*, const char*, std::ios_base::openmode);
  static auto* const real =
      preload::next<Real>("_ZNSt13basic_filebufIcSt11char_traitsIcEE4openEPKcSt13_Ios_Openmode");
  Buffer* const opened = real(self, path, mode);
  if (opened != nullptr) {
    preload::note_with(Made::filebuf, reinterpret_cast<std::intptr_t>(self),
                       preload::last_descriptor());
  }
  return opened;
}

__attribute__((visibility("default"))) Buffer* _ZNSt13basic_filebufIcSt11char_traitsIcEE5closeEv(
    Buffer* self) {
  using Real = Buffer*(Buffer*);
  static auto* const real =
      preload::next<Real>("_ZNSt13basic_filebufIcSt11char_traitsIcEE5closeEv");
  preload::forget(Made::filebuf, reinterpret_cast<std::intptr_t>(self));
  return real(self);
}

}  // extern "C"

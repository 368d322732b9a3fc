// What the doctor's preloaded object (preload/) tells the program that it is preloaded into: who
// made a thing while the application was loaded. Both sides include this header, and nothing else
// of the other: the object may be missing, and then nobody is known.
//
// The functions may be called by any thread; what they return points into static memory and stays.
#pragma once

#include <cstdint>

namespace forktail::doctor {

// What `number` of a record is.
enum class Made : std::int32_t {
  descriptor,   // its number
  thread,       // its kernel's id
  posix_timer,  // the kernel's id, or -1 where glibc hides it (SIGEV_THREAD)
  itimer,       // ITIMER_REAL and friends
  handler,      // the signal
  mask,         // 0
  mapping,      // the address
  lock,         // the descriptor
  random,       // 0
  environment,  // a hash of the variable's name, see hash_of_name()
  umask,        // 0
  filebuf,      // the address of a std::filebuf that is open
};

struct Record {
  static constexpr int kDepth = 32;
  Made made;
  std::int32_t depth;
  std::int64_t number;
  std::int64_t descriptor;  // of a filebuf's file, else -1
  void* frames[kDepth];     // return addresses, the latest call first
};

struct RecorderApi {
  std::uint32_t version;
  // Between the two, what is made is recorded.
  void (*begin)();
  void (*end)();
  // The record of the thing that has this number now; null when it was made otherwise.
  const Record* (*find)(Made made, std::int64_t number);
  // The `index`th record of this kind, in no order; null past the last.
  const Record* (*each)(Made made, int index);
  // The file that the findings are to be written to.
  const char* report;
};

constexpr std::uint32_t kRecorderVersion = 1;
constexpr const char* kRecorderSymbol = "forktail_doctor_recorder";
constexpr const char* kReportVariable = "FORKTAIL_DOCTOR_REPORT";
// What LD_PRELOAD was before the doctor set it.
constexpr const char* kPreloadVariable = "FORKTAIL_DOCTOR_PRELOAD";

constexpr std::int64_t hash_of_name(const char* name) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (; *name != '\0' && *name != '='; ++name) {
    hash = (hash ^ static_cast<unsigned char>(*name)) * 1099511628211U;
  }
  return static_cast<std::int64_t>(hash >> 1);
}

}  // namespace forktail::doctor

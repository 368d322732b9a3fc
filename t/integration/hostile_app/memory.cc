// Memory: too much of it, and that of others.
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "hostile.h"

namespace hostile {

namespace {

struct Mapping {
  unsigned long begin;
  unsigned long end;
};

// What this process can write to and shares with others.
std::vector<Mapping> shared_mappings() {
  std::vector<Mapping> all;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping one{};
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &one.begin, &one.end, access) == 3 &&
        std::strcmp(access, "rw-s") == 0) {
      all.push_back(one);
    }
  }
  return all;
}

template <typename Byte>
Response scribble(Byte next) {
  std::size_t written = 0;
  for (const Mapping& one : shared_mappings()) {
    auto* bytes = reinterpret_cast<volatile unsigned char*>(one.begin);
    for (std::size_t i = 0; i < one.end - one.begin; ++i, ++written) {
      bytes[i] = next(i);
    }
  }
  return done(std::to_string(written) + "\n");
}

std::size_t megabytes(const Parameters& given, long otherwise) {
  return static_cast<std::size_t>(number(given, "mb", otherwise)) << 20;
}

constexpr Misbehaviour kTable[] = {
    {"/memory/scribble", Harm::ends, "writes `byte` (255) over all shared memory that it has",
     [](const Parameters& given) {
       const auto byte = static_cast<unsigned char>(number(given, "byte", 255));
       return scribble([byte](std::size_t) { return byte; });
     }},
    {"/memory/scribble-noise", Harm::ends, "writes noise over all shared memory, from `seed` (1)",
     [](const Parameters& given) {
       std::minstd_rand noise(static_cast<unsigned>(number(given, "seed", 1)));
       return scribble([&noise](std::size_t) { return static_cast<unsigned char>(noise() >> 8); });
     }},
    {"/memory/scribble-pid", Harm::ends, "writes the number `pid` (1) into every word of it",
     [](const Parameters& given) {
       const auto pid = static_cast<unsigned>(number(given, "pid", 1));
       return scribble([pid](std::size_t i) {
         return static_cast<unsigned char>(pid >> (8 * (i % sizeof(pid))));
       });
     }},
    {"/memory/truncate", Harm::none, "cuts all shared memory to nothing, as far as it is let",
     [](const Parameters&) {
       int cut = 0;
       for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
         std::error_code error;
         const auto file = std::filesystem::read_symlink(entry.path(), error);
         if (!error && file.string().starts_with("/memfd:")) {
           cut += ftruncate(std::stoi(entry.path().filename().string()), 0) == 0 ? 1 : 0;
         }
       }
       return done(std::to_string(cut) + "\n");
     }},
    {"/memory/unmap", Harm::ends, "unmaps all shared memory",
     [](const Parameters&) {
       for (const Mapping& one : shared_mappings()) {
         munmap(reinterpret_cast<void*>(one.begin), one.end - one.begin);
       }
       return done();
     }},
    {"/memory/eat", Harm::none, "takes `mb` (256) megabytes, writes to all, and gives them back",
     [](const Parameters& given) {
       std::vector<char> room(megabytes(given, 256), 'x');
       return done(std::string(1, room.back()));
     }},
    {"/memory/leak", Harm::lasts, "takes `mb` (64) megabytes for good",
     [](const Parameters& given) {
       const std::size_t size = megabytes(given, 64);
       if (void* room = std::malloc(size)) {
         std::memset(room, 'x', size);
       }
       return done();
     }},
    {"/memory/too-much", Harm::none, "asks for more than there is: std::bad_alloc",
     [](const Parameters&) {
       std::vector<char> room;
       room.reserve(std::size_t{1} << 62);
       return done();
     }},
    {"/memory/limit", Harm::lasts, "lets the address space grow by `mb` (16) megabytes at most",
     [](const Parameters& given) {
       std::ifstream statm("/proc/self/statm");
       std::size_t pages = 0;
       statm >> pages;
       const rlim_t most = pages * 4096 + megabytes(given, 16);
       const rlimit limit{most, most};
       setrlimit(RLIMIT_AS, &limit);
       return done();
     }},
    {"/memory/large-answer", Harm::none, "answers with `mb` (64) megabytes",
     [](const Parameters& given) { return done(std::string(megabytes(given, 64), 'a')); }},
};

}  // namespace

std::span<const Misbehaviour> memory() { return kTable; }

}  // namespace hostile

// The limits that the server has of itself, each with its reason. Those that an option sets are in
// shared/options.h, those of packets and of log lines in wire/packet.h and log/line.h;
// docs/limits.md lists them all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace forktail::server::limits {

// Kept connections of a generation: those of 64 nginx workers with `keepalive 64` each, and a
// quarter more.
inline constexpr int kMostKept = 5120;

// Threads of a worker: who owns a kept connection is one number, of its seat and its thread.
inline constexpr std::uint32_t kThreadsPerSeat = 1024;

// Descriptors that a process asks the system for: some allow millions, which nothing here needs.
inline constexpr std::uint32_t kEnoughDescriptors = 16384;

// Letters that the master reads in one turn: a worker that writes faster than this reads must not
// hold its loop.
inline constexpr int kMostMail = 4096;

// Letters of a dead worker that are thrown away before the next one comes: more than its mailbox
// has room for.
inline constexpr int kMostStaleMail = 1024;

// Deaths of processes that nobody knows yet: orphans of the application's own come and go.
inline constexpr std::size_t kMostUnclaimedDeaths = 1024;

// Pauses of the machine that are remembered for the requests that were running: a request lives
// through few.
inline constexpr std::size_t kMostPauses = 64;

// Clients of each of the sockets `control`, `stats` and `stats-http`: whoever looks at them is a
// tool or two, and the master has better use for its descriptors.
inline constexpr std::size_t kMostClients = 64;

// What such a client asks: a command is a line, a browser's head some hundred bytes.
inline constexpr std::size_t kLongestQuestion = 8192;

// How long it may take to ask, and to read its answer.
inline constexpr std::chrono::seconds kClientPatience{5};

// How long the memory of the workers is measured: what has not been by then is told as of before.
inline constexpr std::chrono::seconds kLongestMeasurement{5};

}  // namespace forktail::server::limits

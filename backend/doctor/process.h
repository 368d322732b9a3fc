// A process as /proc shows it (proc(5)).
//
// Reads only; any process and thread. What has ended meanwhile, or may not be looked at, is empty.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace forktail::doctor {

struct Task {
  pid_t tid;
  std::string name;
  std::string waits_in;  // the kernel's function; empty when it runs or that may not be seen
};

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = 0;       // as ps shows it
  double started = 0;   // seconds since 1970, to a hundredth
  std::string name;     // of its main thread
  std::string command;  // its arguments, or what it calls itself
  std::string program;  // device and inode of what it executes; empty when that may not be seen
};

std::optional<Process> read_process(pid_t pid);

// All processes of the machine, or of the container that the doctor is in.
std::vector<pid_t> all_pids();

// The children of `pid`, theirs and so on, in the order of their start; zombies are left out.
std::vector<Process> descendants_of(pid_t pid);

bool descends_from(pid_t pid, pid_t ancestor);

// Its threads besides the main one.
std::vector<Task> other_threads(pid_t pid);

// Whether one of its threads waits for a connection or an event, as far as that may be seen.
bool waits_for_events(pid_t pid);

// The content of a small file, cut after 16 MiB; empty when it can not be read.
std::string read_whole(const std::string& path);

// Whether the program of `pid` holds `text`: it is told by what it is, however it was named.
bool program_holds(pid_t pid, std::string_view text);

// "postgres (pid 12)", for messages.
std::string name_of(pid_t pid);

// Now, as seconds since 1970.
double seconds_now();

}  // namespace forktail::doctor

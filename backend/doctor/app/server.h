// A server of the doctor's own, which loads the application as any other does: `forktail serve` of
// this very program, on a socket in a folder of its own, with the recorder preloaded where it is
// there.
//
// Owns the folder and all processes of the server; when it goes, none is left, whatever the
// application does. For one thread of a process that has no other children: it ends all that it
// finds.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "doctor/app/patience.h"

namespace forktail::doctor {

struct AppServerOptions {
  std::string app;
  std::string fork_mode = "preload";
  int processes = 1;
  int max_requests = 0;  // after so many a worker is replaced; 0: never
  bool record = true;    // who makes what; costs a little time and memory
};

class AppServer {
 public:
  // Starts it. Throws std::system_error when it can not be started.
  AppServer(const AppServerOptions& options, Patience& patience);
  ~AppServer();
  AppServer(const AppServer&) = delete;
  AppServer& operator=(const AppServer&) = delete;

  // Returns when all workers are ready. Throws std::runtime_error that says why they are not, and
  // how far the application came.
  void wait_ready();

  // Ends it in good order, if it can be. The destructor ends it in any case.
  void stop();

  [[nodiscard]] std::string socket() const { return folder_ / "app.sock"; }
  [[nodiscard]] std::string control() const { return folder_ / "control.sock"; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::chrono::system_clock::time_point started() const { return started_; }
  // The file that the audit writes; missing until the application is loaded.
  [[nodiscard]] std::filesystem::path audit() const { return folder_ / "audit.json"; }
  // The log's whole lines so far.
  [[nodiscard]] std::vector<nlohmann::json> log() const;
  // The worker's processes that have been ready, the latest of each place, by their numbers.
  [[nodiscard]] std::map<int, pid_t> workers() const;
  // The last that it has complained of; empty when it has not.
  [[nodiscard]] std::string complaint() const;
  // Whether it is still there.
  [[nodiscard]] bool alive();

  // The recorder's file; empty when it is missing.
  static std::string recorder_file();

 private:
  [[noreturn]] void become_server() const;
  [[noreturn]] void give_up(const std::string& why);

  AppServerOptions options_;
  Patience& patience_;
  std::filesystem::path program_;
  std::filesystem::path folder_;
  std::chrono::system_clock::time_point started_;
  pid_t pid_ = 0;
};

}  // namespace forktail::doctor

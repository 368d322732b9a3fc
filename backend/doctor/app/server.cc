#include "doctor/app/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>

#include "doctor/audit/recorder.h"

namespace forktail::doctor {

namespace {

using std::chrono::milliseconds;
namespace fs = std::filesystem;

constexpr milliseconds kLook{5};
constexpr const char* kRecorderName = "libforktail_doctor_recorder.so";

fs::path this_program() { return fs::read_symlink("/proc/self/exe"); }

// The path of a unix socket has to fit into 108 bytes.
fs::path make_folder() {
  constexpr std::size_t kLongest = 60;
  fs::path where = fs::temp_directory_path();
  if (where.native().size() > kLongest) {
    where = "/tmp";
  }
  std::string pattern = where / "forktail-doctor-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(),
                            fmt::format("can not make a folder in {}", where.string()));
  }
  return pattern;
}

std::vector<pid_t> children() {
  std::vector<pid_t> pids;
  std::ifstream list(fmt::format("/proc/self/task/{}/children", gettid()));
  for (pid_t pid = 0; list >> pid;) {
    pids.push_back(pid);
  }
  return pids;
}

// What a child leaves becomes this process's own, so that none can hide.
void end_all_children() {
  constexpr int kAttempts = 1000;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    for (const pid_t pid : children()) {
      kill(pid, SIGKILL);
    }
    pid_t ended = 0;
    while ((ended = waitpid(-1, nullptr, WNOHANG)) > 0 || (ended < 0 && errno == EINTR)) {
    }
    if (ended < 0) {
      return;  // no child is left
    }
    usleep(5000);
  }
}

std::string in_words(int status) {
  return WIFSIGNALED(status) ? fmt::format("was killed by SIG{}", sigabbrev_np(WTERMSIG(status)))
                             : fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

std::string last_line(const fs::path& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    last = line.empty() ? last : line;
  }
  return last;
}

void open_as(int number, const fs::path& path, int flags) {
  const int opened = open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (opened < 0 || dup2(opened, number) < 0) {
    _exit(127);
  }
}

}  // namespace

std::string AppServer::recorder_file() {
  const fs::path program = this_program();
  for (const char* place : {"../lib/forktail", "../doctor/audit"}) {
    const fs::path file = program.parent_path() / place / kRecorderName;
    if (fs::exists(file)) {
      return fs::weakly_canonical(file);
    }
  }
  return {};
}

AppServer::AppServer(const AppServerOptions& options, Patience& patience)
    : options_(options),
      patience_(patience),
      program_(this_program()),
      folder_(make_folder()),
      started_(std::chrono::system_clock::now()) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_ = fork();
  if (pid_ < 0) {
    const int error = errno;
    fs::remove_all(folder_);
    throw std::system_error(error, std::generic_category(), "cannot fork");
  }
  if (pid_ == 0) {
    become_server();
  }
}

// Between fork and exec. Its own session: a terminal's interrupt is for the doctor.
void AppServer::become_server() const {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();
  patience_.restore_signals();
  open_as(STDIN_FILENO, "/dev/null", O_RDONLY);
  open_as(STDOUT_FILENO, folder_ / "stdout", O_WRONLY | O_CREAT | O_APPEND);
  open_as(STDERR_FILENO, folder_ / "stderr", O_WRONLY | O_CREAT | O_APPEND);
  if (options_.record) {
    setenv(kReportVariable, audit().c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  if (const std::string recorder = recorder_file(); options_.record && !recorder.empty()) {
    if (const char* before = getenv("LD_PRELOAD")) {  // NOLINT(concurrency-mt-unsafe): one thread
      setenv(kPreloadVariable, before, 1);            // NOLINT(concurrency-mt-unsafe)
    }
    setenv("LD_PRELOAD", recorder.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  }
  for (const char* variable : {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC"}) {
    unsetenv(variable);  // NOLINT(concurrency-mt-unsafe): one thread; they are for another server
  }
  const std::string processes = std::to_string(options_.processes);
  const std::string max_requests = std::to_string(options_.max_requests);
  const std::string log = folder_ / "log";
  const std::string start_timeout = fmt::format("{}ms", patience_.limit().count() * 2);
  const std::string socket_path = socket();
  const std::string control_path = control();
  execl(program_.c_str(), "forktail", "serve", "--app", options_.app.c_str(), "--fork-mode",
        options_.fork_mode.c_str(), "--processes", processes.c_str(), "--max-requests",
        max_requests.c_str(), "--socket", socket_path.c_str(), "--control", control_path.c_str(),
        "--logto", log.c_str(), "--allow-root", "--start-timeout", start_timeout.c_str(),
        "--worker-reload-mercy", "2s", "--reload-mercy", "2s", static_cast<char*>(nullptr));
  _exit(127);
}

AppServer::~AppServer() {
  end_all_children();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

bool AppServer::alive() {
  int status = 0;
  if (pid_ > 0 && waitpid(pid_, &status, WNOHANG) == pid_) {
    pid_ = 0;
  }
  return pid_ > 0;
}

void AppServer::give_up(const std::string& why) {
  const std::string said = complaint();
  const char* where = "";
  if (options_.record && options_.fork_mode == "preload") {
    where = fs::exists(audit()) ? "; the application was loaded, and no worker became ready: see "
                                  "what the fork and on_worker_start() wait for"
                                : "; the application was still loading";
  }
  throw std::runtime_error(
      fmt::format("{}{}{}", why, where, said.empty() ? "" : fmt::format(" ({})", said)));
}

void AppServer::wait_ready() {
  while (static_cast<int>(workers().size()) < options_.processes) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = 0;
      const std::string said = complaint();
      throw std::runtime_error(said.empty() ? "the server " + in_words(status) : said);
    }
    try {
      patience_.pause(kLook);
    } catch (const OutOfPatience& out) {
      give_up(out.what());
    }
  }
}

// Without patience: this has a limit of its own, and comes after all that matters.
void AppServer::stop() {
  constexpr milliseconds kMercy{4000};
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
  }
  for (milliseconds waited{0}; alive() && waited < kMercy; waited += kLook) {
    std::this_thread::sleep_for(kLook);
  }
}

std::vector<nlohmann::json> AppServer::log() const {
  std::vector<nlohmann::json> lines;
  std::ifstream file(folder_ / "log", std::ios::binary);
  for (std::string line; std::getline(file, line) && !file.eof();) {
    nlohmann::json parsed = nlohmann::json::parse(line, nullptr, false);
    if (parsed.is_object()) {
      lines.push_back(std::move(parsed));
    }
  }
  return lines;
}

std::map<int, pid_t> AppServer::workers() const {
  std::map<int, pid_t> found;
  for (const nlohmann::json& line : log()) {
    if (line.value("event", "") == "worker_ready") {
      found[line.value("of_worker", 0)] = line.value("of_pid", 0);
    }
  }
  return found;
}

std::string AppServer::complaint() const {
  std::string last;
  for (const nlohmann::json& line : log()) {
    const std::string level = line.value("level", "");
    if (level == "error" || level == "critical") {
      last = line.value("msg", "");
    }
  }
  return last.empty() ? last_line(folder_ / "stderr") : last;
}

}  // namespace forktail::doctor

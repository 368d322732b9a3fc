// A real disk that is full, and then is not: several processes, one file.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "log/sink.h"
#include "log_support.h"

namespace forktail::log {
namespace {

constexpr int kProcesses = 4;
constexpr std::uint64_t kLossesEach = 50;

// Shared between the processes.
struct Progress {
  std::atomic<int> saw_it_full;
  std::atomic<bool> freed;
};

[[noreturn]] void run_process(const std::string& path, int process, Progress& progress) {
  alarm(60);
  Sink sink(path, Format::json);
  sink.set_identity({process, 1});
  const std::string message(200, 'm');
  while (sink.dropped() < kLossesEach) {
    sink.write(EventKind::request, "", message);
  }
  ++progress.saw_it_full;
  while (!progress.freed) {
    std::this_thread::yield();
  }
  std::uint64_t lost = 0;
  do {
    lost = sink.dropped();
    sink.write(EventKind::request, "", message);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  } while (lost != sink.dropped());
  _exit(0);
}

// In a process of its own, since it takes a mount namespace of its own. Exits with 0 (done), 1 or
// 77 (no file system may be mounted here); what was written comes back in `result`.
[[noreturn]] void fill_and_free(const std::string& mount_point, const std::string& result,
                                Progress& progress) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=128k") != 0) {
    _exit(77);
  }
  const std::string ballast = mount_point + "/ballast";
  std::ofstream(ballast) << std::string(65536, 'b');
  const std::string path = mount_point + "/forktail.log";
  std::vector<pid_t> children;
  for (int process = 1; process <= kProcesses; ++process) {
    const pid_t child = fork();
    if (child == 0) {
      run_process(path, process, progress);
    }
    children.push_back(child);
  }
  alarm(60);
  while (progress.saw_it_full < kProcesses) {
    std::this_thread::yield();
  }
  std::filesystem::remove(ballast);
  progress.freed = true;
  bool ok = true;
  for (const pid_t child : children) {
    int status = -1;
    ok = waitpid(child, &status, 0) == child && status == 0 && ok;
  }
  std::filesystem::copy_file(path, result);
  _exit(ok ? 0 : 1);
}

TEST(LogFullDisk, TearsNoLineAndSaysExactlyHowManyAreLost) {
  const TemporaryDirectory directory;
  const std::string mount_point = directory / "small";
  const std::string result = directory / "result.log";
  std::filesystem::create_directory(mount_point);
  void* memory =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& progress = *new (memory) Progress{};

  const pid_t child = fork();
  if (child == 0) {
    fill_and_free(mount_point, result, progress);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  munmap(memory, sizeof(Progress));
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "only root may mount a file system";
  }
  ASSERT_EQ(WEXITSTATUS(status), 0) << "a writer did not recover";

  std::map<int, std::uint64_t> last_seq;
  std::map<int, int> reports;
  for (const Json& line : json_lines_of(result)) {  // which fails on a torn one
    std::uint64_t& last = last_seq[line["worker"]];
    std::uint64_t lost = 0;
    if (line["event"] == "log_recovered") {
      EXPECT_EQ(line["error"], "No space left on device");
      lost = line["dropped"];
      ++reports[line["worker"]];
    }
    ASSERT_EQ(line["seq"], last + lost + 1) << "the report does not fit the gap";
    last = line["seq"];
  }
  EXPECT_EQ(last_seq.size(), static_cast<std::size_t>(kProcesses));
  for (int process = 1; process <= kProcesses; ++process) {
    EXPECT_GE(reports[process], 1);
    EXPECT_GT(last_seq[process], kLossesEach);
  }
}

}  // namespace
}  // namespace forktail::log

// Many processes and threads, one file, renamed and reopened under them, some of them killed.
//
// FORKTAIL_FULL=1 makes it 100,000 lines a thread, and a kill a second.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "log/sink.h"
#include "log_gathering.h"
#include "log_support.h"

namespace forktail::log {
namespace {

constexpr int kWriters = 8;
constexpr int kThreadsEach = SharedGathering::kThreads;
constexpr int kRotations = 20;
constexpr int kMostKills = 1000;
constexpr int kLinesOfARequest = 5;  // which fit in a group, however long they are

bool full() { return std::getenv("FORKTAIL_FULL") != nullptr; }
int lines_a_thread() { return full() ? 100000 : 500; }

// What the processes tell each other.
struct WriterProgress {
  std::atomic<int> rotations;
  std::atomic<int> lines;  // in all
  std::array<std::atomic<int>, kWriters + kMostKills> reopened;
  // Of each thread: the lines that it has been told are in the log.
  std::array<std::atomic<int>, (kWriters + kMostKills) * kThreadsEach> logged;
};

// No group gets old: on a busy machine a process can stand still for a second.
class TimelessSystem : public System {
 public:
  std::chrono::steady_clock::time_point steady_now() override { return {}; }
};

// 20 bytes to 20 kB, most of them short, as log lines are.
std::size_t message_size(std::mt19937& random) {
  const double u = std::uniform_real_distribution<double>(0, 1)(random);
  return static_cast<std::size_t>(20 * std::pow(1000.0, u * u * u));
}

class WriterProcess {
 public:
  WriterProcess(Sink& sink, int number, WriterProgress& progress)
      : sink_(sink), number_(number), progress_(progress) {}

  [[noreturn]] void run() {
    std::atomic<int> writing = kThreadsEach;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreadsEach; ++thread) {
      threads.emplace_back([&, thread] {
        write_lines(thread);
        --writing;
      });
    }
    bool ok = true;
    while (writing > 0) {
      ok = follow_rotation() && ok;
      std::this_thread::yield();
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    progress_.reopened[index()] = kRotations;
    _exit(ok && sink_.dropped() == 0 ? 0 : 1);
  }

 private:
  [[nodiscard]] std::size_t index() const { return static_cast<std::size_t>(number_); }

  bool follow_rotation() {
    const int now = progress_.rotations;
    if (now == progress_.reopened[index()]) {
      return true;
    }
    const bool ok = sink_.reopen();
    progress_.reopened[index()] = now;
    return ok;
  }

  void write_lines(int thread) {
    std::mt19937 random(static_cast<unsigned>(number_ * kThreadsEach + thread));
    const std::string filler(20000, static_cast<char>('a' + thread));
    std::string id;
    for (int i = 0; i < lines_a_thread(); ++i) {
      if (i % kLinesOfARequest == 0) {
        id = std::to_string(number_) + "-" + std::to_string(thread) + "-" +
             std::to_string(i / kLinesOfARequest);
        sink_.begin_request(thread, id);
      }
      const std::array<Field, 3> fields{{{"writer", std::int64_t{number_}},
                                         {"thread", std::int64_t{thread}},
                                         {"line", std::int64_t{i}}}};
      sink_.write(EventKind::request, id, std::string_view(filler).substr(0, message_size(random)),
                  fields);
      ++progress_.logged[index() * kThreadsEach + static_cast<std::size_t>(thread)];
      ++progress_.lines;
      if ((i + 1) % kLinesOfARequest == 0) {
        sink_.end_request(thread);
      }
    }
  }

  Sink& sink_;
  const int number_;
  WriterProgress& progress_;
};

struct Way {
  const char* name;
  bool grouped;
  bool killed;
};

class LogProcesses : public LogTest, public ::testing::WithParamInterface<Way> {
 protected:
  LogProcesses() : progress_(new_progress()) {}
  ~LogProcesses() override { munmap(progress_, sizeof(WriterProgress)); }

  void start_writer() {
    const int number = started_++;
    gatherings_.push_back(std::make_unique<SharedGathering>());
    progress_->reopened[static_cast<std::size_t>(number)] = progress_->rotations.load();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      sink_.set_identity({number, 1});
      if (GetParam().grouped) {
        sink_.gather(gatherings_.back()->view());
      }
      WriterProcess(sink_, number, *progress_).run();
    }
    writers_[child] = number;
  }

  // As the master does it, and with the youngest: the others may be done.
  void kill_one() {
    if (killed_.size() == kMostKills || writers_.empty()) {
      return;
    }
    const auto [victim, number] =
        *std::ranges::max_element(writers_, {}, [](const auto& writer) { return writer.second; });
    kill(victim, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(victim, &status, 0), victim);
    writers_.erase(victim);
    if (WIFSIGNALED(status)) {
      killed_.insert(number);
      progress_->reopened[static_cast<std::size_t>(number)] = kRotations;
      sink_.write_gathered(gatherings_[static_cast<std::size_t>(number)]->view(), true);
      sink_.write(EventKind::app_threw, "", "killed");
      sink_.mend_after_kill();
      start_writer();
    }
  }

  void rotate() {
    files_.push_back(path_ + "." + std::to_string(files_.size() + 1));
    std::filesystem::rename(path_, files_.back());
    ASSERT_TRUE(sink_.reopen_and_keep());
    ++progress_->rotations;
    if (GetParam().killed) {
      kill_one();  // which may not have reopened its log yet
    }
    wait_for([this] {
      return std::ranges::all_of(writers_, [this](const auto& writer) {
        return progress_->reopened[static_cast<std::size_t>(writer.second)] >= progress_->rotations;
      });
    });
    sink_.forget_previous();
  }

  void wait_for(const std::function<bool()>& condition) const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(5);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << "the writers stand still";
      std::this_thread::yield();
    }
  }

  void check_lines();

  TimelessSystem system_;
  Sink sink_{path_, Format::json, system_};
  WriterProgress* progress_;
  std::vector<std::unique_ptr<SharedGathering>> gatherings_;
  std::map<pid_t, int> writers_;
  std::set<int> killed_;
  std::vector<std::string> files_;
  int started_ = 0;

 private:
  static WriterProgress* new_progress() {
    void* memory = mmap(nullptr, sizeof(WriterProgress), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::system_error(errno, std::generic_category(), "mmap");
    }
    return new (memory) WriterProgress{};
  }
};

void LogProcesses::check_lines() {
  std::map<std::int64_t, std::uint64_t> last_seq;
  std::map<int, int> in_log;  // lines of each thread
  std::set<std::string> begun;
  std::string previous;
  int truncated = 0;
  int recovered = 0;
  files_.push_back(path_);
  for (const std::string& file : files_) {
    for (const std::string& text : lines_of(file)) {
      ASSERT_LE(text.size() + 1, kMaxLine + (killed_.empty() ? 0 : kMaxLine));
      const auto line = nlohmann::json::parse(text, nullptr, false);
      ASSERT_FALSE(line.is_discarded()) << "torn: " << text.substr(0, 200);
      ASSERT_EQ(line["seq"], ++last_seq[line["pid"]]);
      if (!line.contains("writer")) {
        continue;  // of the master
      }
      const std::string id = line["request_id"];
      if (GetParam().grouped) {
        // Others go on behind what was written of a group at the kill.
        ASSERT_TRUE(id == previous || begun.insert(id).second || line.contains("recovered"))
            << id << " stands in two places";
      }
      previous = id;
      const int thread = line["writer"].get<int>() * kThreadsEach + line["thread"].get<int>();
      ASSERT_EQ(line["line"], in_log[thread]++) << "a line is missing, or there twice";
      truncated += line.contains("truncated") ? 1 : 0;
      recovered += line.contains("recovered") ? 1 : 0;
    }
  }
  int lines = 0;
  for (int thread = 0; thread < started_ * kThreadsEach; ++thread) {
    lines += in_log[thread];
    const int logged = progress_->logged[static_cast<std::size_t>(thread)];
    EXPECT_GE(in_log[thread], logged) << "lines were lost with their writer";
    EXPECT_LE(in_log[thread],
              killed_.contains(thread / kThreadsEach) ? logged + 1 : lines_a_thread());
  }
  EXPECT_GT(truncated, 0) << "no line was long enough to be cut";
  std::printf(
      "%s: %d lines of %d processes in %zu files, %d of them cut; %zu killed, %d lines recovered\n",
      GetParam().name, lines, started_, files_.size(), truncated, killed_.size(), recovered);
}

TEST_P(LogProcesses, WriteEveryLineOnceWholeAndInOrder) {
  while (started_ < kWriters) {
    start_writer();
  }
  const int total = kWriters * kThreadsEach * lines_a_thread();
  // By progress, or on a slow machine nothing but kills would happen.
  const int between_kills = total / 40;
  const auto second = std::chrono::seconds(full() ? 1 : 0);
  int next_kill = between_kills;
  auto not_before = std::chrono::steady_clock::now() + second;
  for (int rotation = 1; rotation <= kRotations; ++rotation) {
    wait_for([&] {
      if (GetParam().killed && progress_->lines >= next_kill &&
          std::chrono::steady_clock::now() >= not_before) {
        kill_one();
        next_kill = progress_->lines + (full() ? 0 : between_kills);
        not_before = std::chrono::steady_clock::now() + second;
      }
      return progress_->lines >= total / (kRotations + 1) * rotation;
    });
    rotate();
  }
  for (const auto& [pid, number] : writers_) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0) << "a writer could not reopen, or lost lines";
  }
  EXPECT_EQ(killed_.empty(), !GetParam().killed);
  check_lines();
}

INSTANTIATE_TEST_SUITE_P(, LogProcesses,
                         ::testing::Values(Way{"Lines", false, false},
                                           Way{"LinesKilled", false, true},
                                           Way{"Groups", true, false},
                                           Way{"GroupsKilled", true, true}),
                         [](const auto& way) { return std::string(way.param.name); });

}  // namespace
}  // namespace forktail::log

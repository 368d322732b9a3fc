#include "server/child/worker_harakiri.h"

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>
#include <system_error>
#include <thread>
#include <type_traits>

#include "server/os/stack_trace.h"
#include "server/request/at_work.h"
#include "server/shared/own_process.h"

namespace forktail::server {

namespace {

static_assert(std::is_trivially_copyable_v<Context>, "a signal handler copies it");
static_assert(std::is_trivially_destructible_v<StackTrace>, "a signal handler overwrites it");

// What the handler has seen of one stuck thread.
struct Notice {
  enum class State : int { free, being_written, written };
  std::atomic<State> state;
  pid_t thread;
  bool in_request;  // it is known which
  bool at_work;     // of the application, not of the server, which reads or writes
  alignas(Context) std::array<std::byte, sizeof(Context)> context;
  alignas(StackTrace) std::array<std::byte, sizeof(StackTrace)> trace;
};

// Handlers can reach nothing but static storage. More threads than these are not looked at in the
// moment that the watch needs to empty one.
std::array<Notice, 16> notices;
sem_t noticed;
// Never destroyed: the application may call exit() while it runs.
std::thread& watcher = *new std::thread();
std::atomic<bool> over;

void note(int, siginfo_t*, void* signal_context) {
  const int saved_errno = errno;
  for (Notice& notice : notices) {
    Notice::State expected = Notice::State::free;
    if (!notice.state.compare_exchange_strong(expected, Notice::State::being_written)) {
      continue;
    }
    const Context* context = current();
    notice.in_request = context != nullptr;
    notice.at_work = notice.in_request && application_at_work();
    if (notice.in_request) {
      std::memcpy(notice.context.data(), context, sizeof(Context));
    }
    notice.thread = gettid();
    new (notice.trace.data()) StackTrace(signal_context);
    notice.state = Notice::State::written;
    sem_post(&noticed);
    break;
  }
  errno = saved_errno;
}

void call_hook(App& app, log::Sink& sink, const Context& context) {
  const Scope scope(context);
  const auto thrown =
      thrown_by_application(sink, context.id(), "on_timeout", [&] { app.on_timeout(context); });
  if (thrown) {
    sink.write(log::EventKind::hook_threw, {}, "on_timeout threw: " + *thrown,
               {{"hook", std::string_view("on_timeout")}, {"what", *thrown}});
  }
}

// Allocates nothing: the stuck thread may hold the allocator's lock.
void log_stack(log::Sink& sink, const Notice& notice) {
  const auto& trace = *std::launder(reinterpret_cast<const StackTrace*>(notice.trace.data()));
  sink.write(log::EventKind::harakiri_stack, {}, "where the overdue request is",
             {{"stuck_tid", std::int64_t{notice.thread}}, {"stack", trace.frames()}});
}

void attend(Notice& notice, App& app, log::Sink& sink) {
  if (!notice.in_request) {
    log_stack(sink, notice);
    notice.state = Notice::State::free;
    return;
  }
  const Context context = *std::launder(reinterpret_cast<const Context*>(notice.context.data()));
  const Scope scope(context);
  log_stack(sink, notice);
  const bool at_work = notice.at_work;
  notice.state = Notice::State::free;
  if (!at_work) {
    return;
  }
  try {
    // One that hangs must not keep the next from being called.
    std::thread([&app, &sink, context] { call_hook(app, sink, context); }).detach();
  } catch (const std::system_error& error) {
    sink.write(log::EventKind::hook_not_called, {},
               std::string("no thread could be started for on_timeout: ") + error.what(),
               {{"hook", std::string_view("on_timeout")}, {"reason", error.what()}});
  }
}

void watch(App& app, log::Sink& sink) {
  while (!over) {
    if (sem_wait(&noticed) != 0) {
      continue;  // a signal
    }
    for (Notice& notice : notices) {
      if (notice.state == Notice::State::written) {
        attend(notice, app, sink);
      }
    }
  }
}

}  // namespace

int harakiri_signal() { return SIGRTMIN; }

void start_harakiri_watch(App& app, log::Sink& sink) {
  sem_init(&noticed, 0, 0);
  struct sigaction action {};
  action.sa_sigaction = note;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(harakiri_signal(), &action, nullptr);
  over = false;
  watcher = std::thread([&app, &sink] { watch(app, sink); });
}

void stop_harakiri_watch() {
  over = true;
  sem_post(&noticed);
  watcher.join();
}

}  // namespace forktail::server

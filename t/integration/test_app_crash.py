"""The last line of a worker that crashes."""

import os
import re
import signal

import pytest

from lib.waiting import wait_for

SOURCE = r"""
#include <dlfcn.h>
#include <forktail/app.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

extern "C" __attribute__((visibility("default"), noinline)) int write_to_null(int value) {
  volatile int* null = nullptr;
  *null = value;
  return value + 1;
}

namespace {

int overflow(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return overflow(depth + 1) + room[0];
}

// A stack that can not be followed: the trace itself crashes.
void smash() {
#if defined(__x86_64__)
  asm volatile("mov $0x10, %rbp; mov $0x10, %rsp; movl $0, 0");
#else
  write_to_null(5);
#endif
}

}  // namespace

class Crash : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context& context) override {
    const std::string path(request.path());
    if (path == "/where") {
      Dl_info info{};
      dladdr(reinterpret_cast<void*>(&write_to_null), &info);
      return {200, "", std::to_string(reinterpret_cast<char*>(&write_to_null) -
                                      static_cast<char*>(info.dli_fbase))};
    }
    if (path == "/null") {
      write_to_null(1);
    } else if (path == "/abort") {
      abort();
    } else if (path == "/bus") {
      char name[] = "/tmp/forktail-bus-XXXXXX";
      const int file = mkstemp(name);
      unlink(name);
      void* memory = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
      return {200, "", std::string(1, *static_cast<volatile char*>(memory))};
    } else if (path == "/ill") {
      __builtin_trap();
    } else if (path == "/fpe") {
      raise(SIGFPE);
    } else if (path == "/overflow") {
      overflow(0);
    } else if (path == "/smash") {
      smash();
    } else if (path == "/terminate") {
      std::thread([] { throw 1; }).join();
    } else if (path == "/thread") {
      std::thread([context] {
        const forktail::Scope scope(context);
        write_to_null(2);
      }).join();
    } else if (path == "/other-thread") {
      std::thread([] { write_to_null(3); }).join();
    } else if (path == "/all-threads") {
      for (int i = 0; i < 8; ++i) {
        std::thread([] { write_to_null(4); }).detach();
      }
      pause();
    }
    return {200, "", "alive"};
  }
};
FORKTAIL_APP(Crash)
"""


@pytest.fixture(scope="session")
def crash_app(build_app):
    return build_app(SOURCE)


@pytest.fixture
def app(server, crash_app):
    return server(app=crash_app)


def crash(app, path, **extra):
    """The crash line and the master's line of the death."""
    with pytest.raises(AssertionError, match="no whole response: b''"):
        app.get(path, REQUEST_ID="the-one-that-crashed", **extra)
    (lost,) = app.wait_lines(event="lost")
    (line,) = app.log(event="crash")
    assert line["level"] == "critical"
    assert line["pid"] == int(re.search(r"\(pid (\d+)\)", lost["msg"])[1])
    assert lost["request_id"] == "the-one-that-crashed"
    assert f"killed by {line['signal']} while handling GET {path}" in lost["msg"]
    assert wait_for(lambda: app.get("/").body == b"alive", "worker that serves again")
    return line


@pytest.mark.parametrize("path, name, address", [
    ("/null", "SIGSEGV", "0x0"),
    ("/bus", "SIGBUS", "0x[0-9a-f]+"),
    ("/ill", "SIGILL", "0x[0-9a-f]+"),
    ("/fpe", "SIGFPE", None),
    ("/abort", "SIGABRT", None),
    ("/overflow", "SIGSEGV", "0x[0-9a-f]+"),
])  # fmt: skip
def test_a_crash_leaves_a_line_with_id_signal_address_and_stack(app, path, name, address):
    line = crash(app, path)
    assert (line["request_id"], line["signal"]) == ("the-one-that-crashed", name)
    if address is None:
        assert "address" not in line
        assert line["msg"] == f"crashed by {name}"
    else:
        assert re.fullmatch(address, line["address"])
        assert line["msg"] == f"crashed by {name} at address {line['address']}"
    assert line["stack"]
    assert all(re.fullmatch(r"[\w.+-]+\+0x[0-9a-f]+|0x[0-9a-f]+", frame) for frame in line["stack"])
    assert "forktail+0x" in " ".join(line["stack"]) or path == "/overflow"


@pytest.mark.parametrize("fork_mode", ["preload", "lazy", "exec"])
def test_the_stack_begins_in_the_function_that_crashed(server, crash_app, fork_mode):
    app = server(app=crash_app, fork_mode=fork_mode)
    begin = int(app.get("/where").body)
    library, offset = crash(app, "/null")["stack"][0].split("+")
    assert library == crash_app.name
    assert begin <= int(offset, 16) < begin + 100


def test_a_line_of_a_worker_stands_in_its_sequence(app):
    line = crash(app, "/null")
    numbers = [other["seq"] for other in app.log(pid=line["pid"])]
    assert numbers == list(range(1, len(numbers) + 1))
    assert line["seq"] == len(numbers)
    assert (line["worker"], line["gen"]) == (1, 1)


def test_a_thread_of_the_application_crashes_under_the_id_of_its_scope(app):
    line = crash(app, "/thread")
    assert line["request_id"] == "the-one-that-crashed"
    assert line["tid"] != line["pid"]


def test_a_thread_without_a_scope_crashes_without_an_id(app):
    assert "request_id" not in crash(app, "/other-thread")


def test_several_threads_that_crash_at_once_leave_one_line(app):
    assert crash(app, "/all-threads")["signal"] == "SIGSEGV"


def test_an_exception_that_nobody_catches_is_a_sigabrt_with_a_stack(app):
    line = crash(app, "/terminate")
    assert line["signal"] == "SIGABRT"
    assert "libstdc++" in " ".join(line["stack"])


def test_a_stack_that_can_not_be_followed_still_leaves_a_line(app):
    line = crash(app, "/smash")
    assert (line["request_id"], line["signal"]) == ("the-one-that-crashed", "SIGSEGV")


def test_a_crash_in_a_serving_thread_beside_the_first(server, crash_app):
    app = server(app=crash_app, threads=4)
    line = crash(app, "/overflow")
    assert line["request_id"] == "the-one-that-crashed"


def test_the_text_format_has_the_line_too(server, crash_app):
    app = server(app=crash_app, log_format="text")
    with pytest.raises(AssertionError, match="no whole response"):
        app.get("/null", REQUEST_ID="in-plain-text")
    line = wait_for(lambda: [line for line in app.log_text().splitlines() if "crashed by" in line],
                    "crash line")[0]
    assert re.search(r' critical in-plain-text .* - crashed by SIGSEGV at address 0x0\tevent="crash"'
                     r'\tsignal="SIGSEGV"\tstack=\["[^"]+\+0x[0-9a-f]+",.*\]\taddress="0x0"$', line)


def test_a_kill_leaves_the_lines_of_the_master_alone(app):
    worker = app.workers()[1]
    os.kill(worker, signal.SIGKILL)
    app.wait_log("killed by SIGKILL")
    assert not app.log(event="crash")


OWN_HANDLER = r"""
#include <fcntl.h>
#include <forktail/app.h>
#include <signal.h>
#include <unistd.h>

class Own : public forktail::App {
 public:
  Own() {
    signal(SIGSEGV, [](int) {
      close(creat("handled", 0644));
      _exit(3);
    });
  }
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (request.path() == "/crash") {
      *static_cast<volatile int*>(nullptr) = 1;
    }
    return {};
  }
};
FORKTAIL_APP(Own)
"""


@pytest.mark.parametrize("fork_mode", ["preload", "lazy", "exec"])
def test_a_handler_of_the_application_is_left_alone(server, build_app, fork_mode):
    app = server(app=build_app(OWN_HANDLER), fork_mode=fork_mode)
    with pytest.raises(AssertionError, match="no whole response"):
        app.get("/crash")
    (lost,) = app.wait_lines(event="lost")
    assert "ended with exit status 3" in lost["msg"]
    assert (app.home / "handled").exists()
    assert not app.log(event="crash")


def test_a_crash_line_survives_a_heap_that_is_broken(server, build_app):
    app = server(app=build_app(r"""
        #include <forktail/app.h>
        #include <cstdlib>
        #include <cstring>
        class Heap : public forktail::App {
         public:
          forktail::Response handle(const forktail::Request&, forktail::Context&) override {
            char* memory = static_cast<char*>(std::malloc(24));
            free(memory);
            free(memory);
            return {};
          }
        };
        FORKTAIL_APP(Heap)
    """))
    with pytest.raises(AssertionError, match="no whole response"):
        app.get("/", REQUEST_ID="with-a-broken-heap")
    (line,) = app.wait_lines(event="crash")
    assert (line["request_id"], line["signal"]) == ("with-a-broken-heap", "SIGABRT")
    app.wait_lines(event="lost")

"""An application that disturbs the libraries and the process that it shares with the server."""

import os
import re
import signal
import subprocess

import pytest

from lib import hostile, uwsgi
from lib.app import ROOT
from lib.hostile import flags_of
from lib.pages import blocks_of
from lib.tools import give_up, need
from lib.waiting import wait_for

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


def test_the_catalogue_names_each_misbehaviour_once(server, hostile_app):
    found = hostile.catalogue(server(app=hostile_app))
    paths = [one.path for one in found]
    assert len(paths) == len(set(paths)) > 90
    assert {one.harm for one in found} == {"none", "lasts", "ends", "hangs"}
    assert all(one.what for one in found)


# What an application does to spdlog.

SPDLOG = ["shutdown", "drop-all", "no-default", "other-default", "throwing-sink", "no-sinks", "off", "pattern"]


@pytest.mark.parametrize("what", SPDLOG)
def test_the_servers_lines_do_not_depend_on_spdlog(server, hostile_app, what):
    app = server(app=hostile_app)
    assert app.get(f"/spdlog/{what}").status == 200
    assert app.get("/throw/exception", REQUEST_ID="after-the-change").status == 500
    (threw,) = app.wait_lines(event="app_threw")
    assert (threw["request_id"], threw["what"]) == ("after-the-change", "as was to be expected")
    assert app.log(event="request", request_id="after-the-change")
    assert not app.log(event="lost")


@every_mode
@pytest.mark.parametrize("what", ["shutdown", "off"])
def test_the_same_when_it_happens_at_load(server, hostile_app, mode, what):
    app = server(app=hostile_app, fork_mode=mode, processes=2, env=f"HOSTILE_AT_LOAD=/spdlog/{what}")
    assert app.get("/throw/exception", REQUEST_ID="thrown-since-load").status == 500
    assert app.wait_lines(event="app_threw", request_id="thrown-since-load")
    os.kill(app.workers()[1], signal.SIGTERM)
    assert app.wait_lines(event="worker_left")


def test_the_contexts_logger_outlives_a_shutdown_of_spdlog(server, build_app):
    app = server(app=build_app(r"""
        #include <forktail/app.h>
        #include <spdlog/spdlog.h>
        struct Own : forktail::App {
          forktail::Response handle(const forktail::Request&, forktail::Context& context) override {
            spdlog::shutdown();
            context.log().info("still here");
            return {200, "", ""};
          }
        };
        FORKTAIL_APP(Own)
    """))
    assert app.get("/", REQUEST_ID="by-the-context").status == 200
    assert app.wait_log("still here")["request_id"] == "by-the-context"


# What it writes to its standard streams.

@every_mode
@pytest.mark.parametrize("stream", ["cout-unsynced", "cout", "printf", "clog"])
def test_what_is_buffered_is_written_at_an_orderly_end(server, hostile_app, tmp_path, mode, stream):
    app = server(app=hostile_app, fork_mode=mode, start=False)
    app.binary = wrapper(tmp_path, app.binary, "exec {binary} \"$@\" >> out 2>> out")
    app.start()
    assert app.get(f"/stdio/{stream}?text=buffered-{stream}").status == 200
    assert app.stop() == 0
    assert (app.home / "out").read_text().splitlines().count(f"buffered-{stream}") == 1


@pytest.mark.parametrize("stream", ["cout-unsynced", "printf"])
def test_what_is_buffered_at_load_is_written_once_whatever_is_forked(server, hostile_app, tmp_path, stream):
    app = server(app=hostile_app, processes=3, start=False, env=f"HOSTILE_AT_LOAD=/stdio/{stream}?text=loaded")
    app.binary = wrapper(tmp_path, app.binary, "exec {binary} \"$@\" >> out 2>> out")
    app.start()
    assert app.stop() == 0
    assert (app.home / "out").read_text().splitlines().count("loaded") == 1


@pytest.mark.parametrize("what", ["throwing-cout", "close"])
def test_streams_that_are_broken_do_not_keep_a_worker_from_leaving(server, hostile_app, what):
    app = server(app=hostile_app)
    assert app.get(f"/stdio/{what}").status == 200
    assert app.stop() == 0
    assert app.log(event="worker_left") and not app.log(event="worker_died")


def wrapper(folder, binary, script):
    path = folder / "forktail-to-file"
    path.write_text("#!/bin/sh\n" + script.format(binary=binary) + "\n")
    path.chmod(0o755)
    return path


# What it does to its process.

@every_mode
def test_a_log_with_a_relative_path_is_reopened_in_its_place(server, hostile_app, mode):
    app = server(app=hostile_app, logto="server.log", fork_mode=mode, control="ctl.sock")
    assert app.get("/process/chdir?to=/").status == 200
    os.rename(app.home / "server.log", app.home / "old.log")
    assert ctl(app, "reopen").returncode == 0
    assert app.get("/", REQUEST_ID="after-the-rotation").status == 200
    wait_for(lambda: app.log(event="request", request_id="after-the-rotation"), "line in the new file")
    assert not os.path.exists("/server.log")


def test_a_log_that_is_made_anew_has_its_mode_whatever_the_umask_has_become(server, hostile_app):
    app = server(app=hostile_app, env="HOSTILE_AT_LOAD=/process/umask?to=0777")
    mode = (app.home / "server.log").stat().st_mode
    worker = app.workers()[1]
    os.rename(app.home / "server.log", app.home / "old.log")
    os.kill(worker, signal.SIGTERM)  # its successor finds no file
    wait_for(lambda: (app.home / "server.log").exists(), "new log")
    assert (app.home / "server.log").stat().st_mode == mode


@pytest.fixture(scope="module")
def turkish(tmp_path_factory):
    """A folder for LOCPATH."""
    locales = tmp_path_factory.mktemp("locales")
    made = subprocess.run([need("localedef"), "-i", "tr_TR", "-f", "UTF-8", str(locales / "tr_TR.UTF-8")],
                          capture_output=True, text=True, check=False)
    if made.returncode not in (0, 1) or not (locales / "tr_TR.UTF-8").exists():
        give_up(f"localedef can not make the locale tr_TR.UTF-8: {made.stderr}")
    return locales


@every_mode
def test_headers_are_found_in_a_turkish_locale(server, build_app, turkish, mode):
    app = server(app=build_app(r"""
        #include <forktail/app.h>
        #include <clocale>
        struct Turkish : forktail::App {
          Turkish() : name_(std::setlocale(LC_ALL, "tr_TR.UTF-8")) {}
          forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
            return {200, "", (name_ ? "" : "no such locale ") + std::string(request.header("if-match"))};
          }
          const char* name_;
        };
        FORKTAIL_APP(Turkish)
    """), fork_mode=mode, env=f"LOCPATH={turkish}")
    assert app.get("/", HTTP_IF_MATCH="found").body == b"found"


@pytest.mark.parametrize("options", [{"harakiri": "20s"}, {"threads": 3}, {}])
def test_an_exit_within_a_request_is_that_and_no_crash(server, hostile_app, options):
    app = server(app=hostile_app, **options)
    assert uwsgi.exchange(app.dial(), uwsgi.packet(uwsgi.variables("/end/exit?code=3"))) == b""
    (died,) = app.wait_lines(event="worker_died")
    assert died["how"] == "ended with exit status 3"


# How it is built.

HELLO = r"""
#include <forktail/app.h>
#include <spdlog/spdlog.h>
class Hello : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    spdlog::info("somebody is here");
    return {200, "text/plain", "hello\n"};
  }
};
FORKTAIL_APP(Hello)
"""
INCLUDE = f"-I{ROOT}/backend/include"


def compiled(folder, source, *flags, compiler="g++", name="libhello.so"):
    """The outcome of compiling `source` to the shared object `name`."""
    command = [need(compiler), "-std=c++20", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(folder / name), INCLUDE,
               *flags]
    return subprocess.run(command, input=source, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("source", [
    HELLO, HELLO.replace("#include <forktail/app.h>\n", "").replace("spdlog.h>", "spdlog.h>\n#include <forktail/app.h>")])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_a_header_only_spdlog_is_refused_at_compile_time(tmp_path, compiler, source):
    result = compiled(tmp_path, source, "-fsyntax-only", "-Wfatal-errors", compiler=compiler)
    assert result.returncode != 0
    assert "forktail needs the compiled spdlog" in result.stderr
    assert "pkg-config --cflags --libs forktail" in result.stderr


@pytest.fixture(scope="module", params=["default", "hidden"])
def app_with_a_foreign_spdlog(request, tmp_path_factory):
    """An application that is linked with a library of its own, which has a spdlog compiled into it."""
    folder = tmp_path_factory.mktemp("foreign")
    other = ("#include <spdlog/spdlog.h>\n"
             'extern "C" __attribute__((visibility("default"))) void other() { spdlog::info("away"); }\n')
    built = compiled(folder, other, "-O1", f"-fvisibility={request.param}", name="libother.so")
    assert built.returncode == 0, built.stderr
    source = HELLO.replace("class Hello", 'extern "C" void other();\nclass Hello').replace("spdlog::info", "other();//")
    built = compiled(folder, source, *flags_of("spdlog", "--cflags"), f"-L{folder}", f"-Wl,-rpath,{folder}",
                     "-Wl,--no-as-needed", "-lother", *flags_of("spdlog", "--libs"))
    assert built.returncode == 0, built.stderr
    return folder / "libhello.so"


@every_mode
def test_another_source_with_a_spdlog_of_its_own_is_told_at_load(server, app_with_a_foreign_spdlog, mode):
    app = server(app=app_with_a_foreign_spdlog, fork_mode=mode)
    (told,) = app.wait_lines(event="foreign_logger")
    assert told["level"] == "warn" and told["reason"].startswith("libother.so has a spdlog of its own")


def test_a_default_logger_that_the_constructor_replaces_is_told_at_load(server, hostile_app):
    app = server(app=hostile_app, env="HOSTILE_AT_LOAD=/spdlog/other-default")
    (told,) = app.wait_lines(event="foreign_logger")
    assert told["reason"].startswith("it has replaced spdlog's default logger")


def test_an_application_that_shares_the_servers_logger_is_not_complained_of(server, hostile_app):
    app = server(app=hostile_app)
    assert app.get("/log", REQUEST_ID="both-ways-of-it").status == 200
    lines = app.wait_lines(count=3, request_id="both-ways-of-it")
    assert [line["msg"] for line in lines[:2]] == ["plain both-ways-of-it", "own both-ways-of-it"]
    assert not app.log(event="foreign_logger")


def test_the_sizes_of_a_debugging_standard_library_are_refused_by_name(server, tmp_path):
    built = compiled(tmp_path, HELLO, "-D_GLIBCXX_DEBUG", *flags_of("spdlog", "--cflags"))
    assert built.returncode == 0, built.stderr
    result = server(start=False, app=tmp_path / "libhello.so").run()
    assert result.returncode == 1
    assert re.search(r"its forktail::\w+ has \d+ bytes, this server's has \d+: rebuild it", result.stderr)


def test_the_other_string_of_the_standard_library_is_refused_in_words(server, tmp_path):
    source = HELLO.replace("#include <spdlog/spdlog.h>\n", "").replace("spdlog::info", "//")
    built = compiled(tmp_path, source, "-D_GLIBCXX_USE_CXX11_ABI=0")
    assert built.returncode == 0, built.stderr
    result = server(start=False, app=tmp_path / "libhello.so").run()
    assert result.returncode == 1
    assert "_GLIBCXX_USE_CXX11_ABI=0" in result.stderr or "another standard library" in result.stderr


# The documentation's own build lines.

def blocks(page):
    """The texts of a page's blocks."""
    return [one.text + "\n" for one in blocks_of(ROOT / page)]


@pytest.fixture(scope="module")
def prefix(build_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp("installed")
    subprocess.run(["cmake", "--install", str(build_dir), "--prefix", str(path)], check=True, capture_output=True)
    return path


@pytest.fixture
def documented_source(tmp_path):
    (source,) = [block for block in blocks("docs/application.md") if "class Hello" in block]
    (tmp_path / "hello.cc").write_text(source)
    return tmp_path


def says_what_the_page_says(app):
    assert app.get("/", REQUEST_ID="as-documented-1").body == b"hello, as-documented-1\n"
    line = app.wait_log("somebody is here")
    assert line["request_id"] == "as-documented-1"
    assert not app.log(event="foreign_logger")


@pytest.mark.parametrize("page", ["docs/application.md", "README.md"])
@pytest.mark.parametrize("optimised", ["-O0", "-O2"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_documented_line_builds_an_application_whose_lines_bear_the_id(
        server, prefix, documented_source, page, compiler, optimised):
    (line,) = [line.partition("      #")[0] for block in blocks(page) for line in block.splitlines()
               if "pkg-config --cflags" in line and line.startswith("g++")]
    command = line.replace("g++", f"{need(compiler)} {optimised}", 1)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    built = subprocess.run(["sh", "-c", command], cwd=documented_source, env=environment, capture_output=True,
                           text=True, check=False)
    assert built.returncode == 0, built.stderr
    says_what_the_page_says(server(app=documented_source / "libhello.so"))


@pytest.mark.parametrize("kind", ["Debug", "Release"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_documented_cmake_lines_do_so_too(server, prefix, documented_source, compiler, kind):
    (lines,) = [block for block in blocks("docs/application.md") if "find_package(forktail" in block]
    lines = lines[lines.index("find_package"):]
    (documented_source / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(hello LANGUAGES CXX)\n" + lines)
    build = documented_source / "build"
    for command in (["cmake", "-S", str(documented_source), "-B", str(build), f"-DCMAKE_PREFIX_PATH={prefix}",
                     f"-DCMAKE_CXX_COMPILER={need(compiler)}", f"-DCMAKE_BUILD_TYPE={kind}"],
                    ["cmake", "--build", str(build)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    says_what_the_page_says(server(app=build / "libhello.so"))


def ctl(app, *words):
    return subprocess.run([str(app.binary), "ctl", "--control", str(app.home / "ctl.sock"), *words],
                          capture_output=True, text=True, check=False, timeout=30)

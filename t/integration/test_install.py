"""An installed tree is all that an application's developer and an operator need."""

import subprocess

import pytest

from lib import uwsgi
from lib.app import ROOT
from lib.tools import need

HELLO = """
#include <forktail/app.h>

class Hello : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request&, forktail::Context& context) override {
    return {200, "text/plain", "hello, " + std::string(context.id()) + "\\n"};
  }
};
FORKTAIL_APP(Hello)
"""


def run(*command, **options):
    result = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def prefix(build_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", str(build_dir), "--prefix", str(path))
    return path


@pytest.fixture(scope="module")
def forktail(prefix):
    return prefix / "bin/forktail"


@pytest.fixture(scope="module")
def forkfacts(prefix):
    return prefix / "lib/forktail/apps/libforkfacts.so"


def says_hello(running):
    response = uwsgi.request(running.dial(), "/", REQUEST_ID="installed-1")
    return response.status == 200 and response.body == b"hello, installed-1\n"


def test_every_file_has_its_place(prefix):
    for path in ("bin/forktail", "lib/nginx/modules/ngx_http_forktail_module.so",
                 "lib/forktail/apps/libforkfacts.so", "include/forktail/app.h",
                 "lib/pkgconfig/forktail.pc", "lib/cmake/forktail/forktailConfig.cmake",
                 "share/forktail/conf/nginx/forktail_log.conf", "share/forktail/conf/forktail.ini",
                 "share/man/man1/forktail.1", "share/man/man5/forktail.ini.5",
                 "share/bash-completion/completions/forktail"):
        assert (prefix / path).is_file(), path


def test_nothing_that_is_installed_names_the_place_it_was_built_in(prefix):
    for path in prefix.rglob("*"):
        if path.is_file() and path.suffix in (".pc", ".cmake", ".h", ".conf", ".ini"):
            assert str(ROOT) not in path.read_text(), path


def test_the_installed_server_and_module_serve_the_installed_application(server, prefix, nginx):
    response = nginx(to=server(processes=2)).get("/")
    assert response.status == 200


def test_an_application_builds_with_find_package(prefix, server, tmp_path):
    (tmp_path / "hello.cc").write_text(HELLO)
    (tmp_path / "CMakeLists.txt").write_text("""
        cmake_minimum_required(VERSION 3.25)
        project(hello LANGUAGES CXX)
        find_package(forktail 0.1 REQUIRED)
        add_library(hello MODULE hello.cc)
        target_link_libraries(hello PRIVATE forktail::forktail)
    """)
    build = tmp_path / "build"
    run("cmake", "-S", str(tmp_path), "-B", str(build), f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", str(build))
    assert says_hello(server(app=build / "libhello.so"))


def test_another_version_is_not_taken_for_this_one(prefix, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text("""
        cmake_minimum_required(VERSION 3.25)
        project(hello LANGUAGES NONE)
        find_package(forktail 99.0 REQUIRED)
    """)
    result = subprocess.run(
        ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-DCMAKE_PREFIX_PATH={prefix}"],
        text=True, capture_output=True, check=False)
    assert result.returncode != 0
    assert "compatible with requested version" in result.stderr


def test_an_application_builds_with_pkg_config(prefix, server, tmp_path):
    flags = run(need("pkg-config"), "--cflags", "forktail",
                env={"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}).split()
    (tmp_path / "hello.cc").write_text(HELLO)
    library = tmp_path / "libhello.so"
    run(need("g++"), *flags, "-shared", "-fPIC", str(tmp_path / "hello.cc"), "-o", str(library))
    assert says_hello(server(app=library))

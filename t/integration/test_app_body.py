"""Request bodies of all sizes, in memory and in files."""

import hashlib
import re

import pytest

from lib import uwsgi

# Answers with the body's checksums, as one piece and as a stream, and what the worker has in memory.
SOURCE = r"""
#include <forktail/app.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace {

std::uint64_t add(std::uint64_t sum, std::string_view bytes) {
  for (const unsigned char byte : bytes) {
    sum = (sum ^ byte) * 1099511628211U;
  }
  return sum;
}

std::string anonymous_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) {
      return line.substr(8);
    }
  }
  return "?";
}

std::string files() {
  std::string names;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string name = std::filesystem::read_symlink(entry.path(), gone).string();
    if (name.find("forktail-body") != std::string::npos) {
      names += name + " ";
    }
  }
  return names;
}

}  // namespace

class Sums : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    if (request.path() == "/files") {
      return {200, "", files()};
    }
    std::uint64_t streamed = 14695981039346656037U;
    std::array<char, 10000> piece;
    auto stream = request.body_stream();
    while (const std::size_t size = stream.read(piece)) {
      streamed = add(streamed, {piece.data(), size});
    }
    const std::uint64_t whole = add(14695981039346656037U, request.body());
    return {200, "text/plain", std::to_string(request.body().size()) + "\n" + std::to_string(whole) +
                                   "\n" + std::to_string(streamed) + "\n" + files() + "\n" +
                                   anonymous_memory() + "\n"};
  }
};
FORKTAIL_APP(Sums)
"""

MEGABYTE = 1 << 20


@pytest.fixture(scope="session")
def sums(build_app):
    return build_app(SOURCE)


class Answer:
    def __init__(self, text):
        size, self.whole, self.streamed, self.files, memory = text.decode().splitlines()
        self.size = int(size)
        self.anonymous = int(re.search(r"(\d+) kB", memory)[1]) * 1024


def pattern(size):
    return (hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1))[:size]


def checksum(data):
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) & (2**64 - 1)
    return str(value)


@pytest.mark.parametrize("size", [0, 1, 9999, 10000, 10001, 200000])
def test_a_body_is_the_same_in_memory_and_spooled_as_a_whole_and_in_pieces(server, sums, size):
    app = server(app=sums, post_buffering=10000)
    body = pattern(size)
    answer = Answer(app.get("/", method="POST", body=body).body)
    assert (answer.size, answer.whole, answer.streamed) == (size, checksum(body), checksum(body))
    assert ("(deleted)" in answer.files) == (size > 10000)


def test_a_spooled_body_takes_no_memory_and_leaves_no_file(server, sums, tmp_path):
    app = server(app=sums, env=f"TMPDIR={tmp_path}")
    before = Answer(app.get("/", method="POST", body=b"x").body)
    body = bytes(50 * MEGABYTE)
    answer = Answer(app.get("/", method="POST", body=body).body)
    assert answer.size == len(body)
    assert answer.whole == answer.streamed
    assert answer.anonymous - before.anonymous < 2 * MEGABYTE
    assert str(tmp_path) in answer.files
    assert not list(tmp_path.glob("forktail*"))
    assert app.get("/files").body == b""


def test_post_buffering_0_spools_every_body(server, sums):
    app = server(app=sums, post_buffering=0)
    assert "(deleted)" in Answer(app.get("/", method="POST", body=b"x").body).files
    assert Answer(app.get("/").body).files == ""


def test_bodies_above_1m_are_spooled_unless_told_otherwise(server, sums):
    app = server(app=sums)
    assert Answer(app.get("/", method="POST", body=bytes(MEGABYTE)).body).files == ""
    assert Answer(app.get("/", method="POST", body=bytes(MEGABYTE + 1)).body).files != ""


def test_a_spooled_body_comes_through_nginx_on_kept_connections(server, nginx, sums):
    app = server(app=sums, post_buffering=1000)
    web = nginx(to=app, http_conf="client_max_body_size 100m;")
    for size in (500, 300000, 1, 1001):
        answer = Answer(web.get("/", "POST", pattern(size)).body)
        assert (answer.size, answer.streamed) == (size, checksum(pattern(size)))


def test_a_body_that_can_not_be_spooled_is_a_500_that_names_the_cure(server, sums):
    app = server(app=sums, env="TMPDIR=/proc", post_buffering=10)
    response = app.get("/", method="POST", body=bytes(1000), REQUEST_ID="no-room-for-it")
    assert response.status == 500
    assert response.body == b"500 Internal Server Error\nrequest id: no-room-for-it\n"
    (line,) = app.log(level="error")
    assert line["request_id"] == "no-room-for-it"
    assert re.fullmatch(r"a body of 1000 bytes can not be kept in a file in /proc: .*; make room there, "
                        r"name another directory in TMPDIR, or raise post-buffering", line["msg"])
    assert app.get("/", method="POST", body=b"fits").status == 200


def test_a_tmpdir_that_is_none_is_replaced_by_tmp(server, sums):
    app = server(app=sums, env="TMPDIR=/no/such/folder", post_buffering=10)
    assert Answer(app.get("/", method="POST", body=bytes(1000)).body).files.startswith("/tmp/")


def test_a_spooled_body_above_body_limit_is_a_413(server, sums):
    app = server(app=sums, post_buffering=10, body_limit=1000)
    assert app.get("/", method="POST", body=bytes(1001)).status == 413
    assert app.get("/", method="POST", body=bytes(1000)).status == 200


def test_a_spooled_body_that_is_cut_is_a_400_and_its_file_is_gone(server, sums):
    app = server(app=sums, post_buffering=10)
    head = uwsgi.packet(uwsgi.variables("/", "POST", bytes(100000)))
    answer = uwsgi.Response(uwsgi.exchange(app.dial(), head + bytes(50000), end=True))
    assert answer.status == 400
    app.wait_log("after 50000 of 100000 bytes of the body")
    assert app.get("/files").body == b""

"""The real uWSGI and the real gunicorn behind forktail_pass."""

import subprocess

import pytest

from lib.tools import give_up, need
from pass_support import LIMIT, Nginx, wait_for

# A plugin of uWSGI's, which needs none of its headers.
APP = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

struct wsgi_request;
int uwsgi_parse_vars(struct wsgi_request *);
char *uwsgi_get_var(struct wsgi_request *, char *, uint16_t, uint16_t *);
char *uwsgi_request_body_read(struct wsgi_request *, ssize_t, ssize_t *);
int uwsgi_response_prepare_headers(struct wsgi_request *, char *, uint16_t);
int uwsgi_response_add_header(struct wsgi_request *, char *, uint16_t, char *, uint16_t);
int uwsgi_response_add_content_length(struct wsgi_request *, uint64_t);
int uwsgi_response_write_body_do(struct wsgi_request *, char *, size_t);

int answer(struct wsgi_request *r) {
    uint16_t n = 0, query_size = 0;
    if (uwsgi_parse_vars(r)) return -1;
    char *length = uwsgi_get_var(r, "CONTENT_LENGTH", 14, &n);
    char text[24] = "";
    memcpy(text, length, n < sizeof(text) ? n : 0);
    ssize_t size = atol(text), got = 0;
    char *body = size > 0 ? uwsgi_request_body_read(r, size, &got) : NULL;
    char *query = uwsgi_get_var(r, "QUERY_STRING", 12, &query_size);
    char *id = uwsgi_get_var(r, "REQUEST_ID", 10, &n);
    uwsgi_response_prepare_headers(r, "200 OK", 6);
    if (id) uwsgi_response_add_header(r, "X-Seen-Id", 9, id, n);
    if (query_size == 6 && !memcmp(query, "length", 6)) uwsgi_response_add_content_length(r, got);
    if (got > 0) uwsgi_response_write_body_do(r, body, got);
    return 0;
}
"""


@pytest.fixture(scope="module")
def uwsgi(tmp_path_factory):
    program = need("uwsgi")
    home = tmp_path_factory.mktemp("uwsgi")
    (home / "answer.c").write_text(APP)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", home / "answer.so", home / "answer.c"], check=True)
    process = subprocess.Popen(
        [program, "--plugin", "symcall", "--dlopen", home / "answer.so", "--symcall", "answer",
         "--socket", home / "app.sock", "--chmod-socket=666", "--master", "--processes", "2",
         "--die-on-term"],
        stdout=open(home / "log", "w"), stderr=subprocess.STDOUT, cwd=home)
    try:
        wait_for(lambda: (home / "app.sock").exists() and process.poll() is None, "uwsgi")
        yield home / "app.sock"
    finally:
        process.terminate()
        process.wait(LIMIT)


@pytest.mark.parametrize("keepalive", ["", "keepalive 4;"], ids=["no cache", "cache"])
@pytest.mark.parametrize("query", ["?length", "?open"])
def test_bodies_come_back_whole(tmp_path, uwsgi, keepalive, query):
    """uWSGI closes each connection, whatever it is told, with a Content-Length as without one. Where
    nginx was told to keep them nevertheless, a request can meet one that is just being closed."""
    http = f"upstream app {{ server unix:{uwsgi}; {keepalive} }}"
    location = "forktail on; location / { forktail_pass app; }"
    if keepalive:
        location += "forktail_next_upstream error non_idempotent;"
    with Nginx(tmp_path, http, location) as nginx:
        for size in (0, 1, 5000, 300000):
            body = bytes(i % 251 for i in range(size))
            answer = nginx.get(f"/{query}", "POST", body)
            assert (answer.status, answer.body) == (200, body)
            assert answer.getheader("X-Seen-Id") == answer.getheader("X-Request-ID")


def test_gunicorn_answers(tmp_path):
    program = need("gunicorn")
    usage = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    if "--protocol " not in usage:
        give_up("gunicorn is older than 25 and has no uwsgi protocol")
    (tmp_path / "app.py").write_text(
        "def app(environ, start):\n"
        # gunicorn hands on the headers among the variables, and no others.
        "    start('200 OK', [('X-Seen-Id', environ['HTTP_X_REQUEST_ID'])])\n"
        "    return [environ['wsgi.input'].read()]\n")
    process = subprocess.Popen(
        [program, "--protocol", "uwsgi", "--bind", f"unix:{tmp_path}/app.sock", "app:app"], cwd=tmp_path,
        stdout=open(tmp_path / "log", "w"), stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: (tmp_path / "app.sock").exists() and process.poll() is None, "gunicorn")
        location = f"forktail on; location / {{ forktail_pass unix:{tmp_path}/app.sock; }}"
        with Nginx(tmp_path, "", location) as nginx:
            answer = nginx.get("/", "POST", b"body")
            assert (answer.status, answer.body) == (200, b"body")
            assert answer.getheader("X-Seen-Id") == answer.getheader("X-Request-ID")
    finally:
        process.terminate()
        process.wait(LIMIT)

"""How `forktail serve` takes its options: from the command line, from an INI file, and when not."""

from pathlib import Path

import pytest

from lib import uwsgi
from lib.server import refused
from lib.waiting import wait_for

BY_FILE = {"app": None, "socket": None, "logto": None, "config": "forktail.ini"}


@pytest.fixture
def from_file(server, forkfacts):
    """from_file(TEXT) is a server, not started, whose forktail.ini ends in TEXT."""

    def make(text, section="forktail", **options):
        app = server(start=False, **{**BY_FILE, **options})
        (app.home / "forktail.ini").write_text(
            f"[{section}]\napp = {forkfacts}\nsocket = app.sock\nlogto = server.log\n{text}")
        return app

    yield make


def start_by_file(app):
    app.start(ready=False)
    app.options["socket"] = app.home / "app.sock"
    wait_for(lambda: app.is_ready(quiet=False), "server that serves")
    return app


def test_an_ini_file_sets_what_the_command_line_does(from_file):
    app = start_by_file(from_file(
        "; a comment\n# another\n\n  processes=3\nfork-mode = lazy\ntrust-header-id = true\n"
        "[other]\nprocesses = 7\nunknown-key = 1\n"))
    assert len(app.workers()) == 3
    response = app.get("/", HTTP_X_REQUEST_ID="from-the-header")
    assert response["X-Request-ID"] == "from-the-header"
    assert response.json()["fork_mode"] == "lazy"


def test_a_uwsgi_section_with_uwsgis_names_is_read_too(from_file):
    app = start_by_file(from_file("workers = 2\nlazy-apps = true\n", section="uwsgi"))
    assert len(app.workers()) == 2
    assert app.get("/").json()["fork_mode"] == "lazy"


def test_arguments_win_over_the_file(from_file):
    app = start_by_file(from_file("processes = 3\nfork-mode = lazy\n", processes=2, fork_mode="preload"))
    assert len(app.workers()) == 2
    assert app.get("/").json()["fork_mode"] == "preload"


@pytest.mark.parametrize("key, meant", [("proceses", "processes"), ("sockets", "socket"),
                                        ("buffersize", "buffer-size"), ("fork_mode", "fork-mode")])
def test_an_unknown_key_is_an_error_that_names_the_nearest_one(from_file, key, meant):
    refused(from_file(f"{key} = 3\n").run(), f"forktail.ini:5: unknown key `{key}`; did you mean `{meant}`?")


def test_an_unknown_key_that_is_near_to_nothing_points_at_the_help(from_file):
    refused(from_file("frobnicate = 3\n").run(), "unknown key `frobnicate`", "forktail serve --help")


@pytest.mark.parametrize("key, advice", [("worker-exec", "use `fork-mode = exec`"), ("wsgi-file", "use `app`"),
                                         ("cheaper-algo", "use `cheaper` and `processes`")])
def test_a_key_that_only_uwsgi_has_is_an_error_with_advice(from_file, key, advice):
    refused(from_file(f"{key} = 1\n").run(), key, advice)


def test_a_key_that_may_come_again_keeps_all_its_values(from_file):
    app = start_by_file(from_file("socket = second.sock\nenv = A=1\nenv = B=2\nfork-mode = exec\n"))
    assert uwsgi.ping(str(app.home / "second.sock"))
    (worker,) = app.workers().values()
    environment = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    assert {b"A=1", b"B=2"} <= set(environment)


@pytest.mark.parametrize("text", [
    "processes = 3\nprocesses = 2\n", "processes = 3\nworkers = 2\n", "workers = 3\n[uwsgi]\nprocesses = 2\n",
], ids=["twice", "by two names", "in both sections"])
def test_of_another_key_the_last_one_counts(from_file, text):
    assert len(start_by_file(from_file(text)).workers()) == 2


def test_a_flag_alone_on_its_line_is_set(from_file):
    app = start_by_file(from_file("trust-header-id\nlazy-apps\n", section="uwsgi"))
    response = app.get("/", HTTP_X_REQUEST_ID="from-the-header")
    assert response["X-Request-ID"] == "from-the-header"
    assert response.json()["fork_mode"] == "lazy"


@pytest.mark.parametrize("value, named", [
    ("%n.sock", "%n"), ("$(HOME)/x.sock", "$(HOME)"), ("%(base)/x.sock", "%(base)"), ("@(path", "@(path")])
def test_what_uwsgi_would_fill_in_is_refused(from_file, value, named):
    refused(from_file(f"stats = {value}\n", section="uwsgi").run(),
            f"forktail.ini:5: `stats` has a placeholder, `{named}`", "write what it stands for")


def test_other_values_are_taken_as_they_are(from_file):
    app = start_by_file(from_file("env = A=$(x) 100%\nfork-mode = exec\n"))
    (worker,) = app.workers().values()
    assert b"A=$(x) 100%" in Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")


@pytest.mark.parametrize("text, why", [
    ("processes = 2\n[forktail]\n", ":1: `processes = 2` stands before the first section"),
    ("\ufeff[forktail]\n", ":1: `\ufeff[forktail]` stands before the first section"),
    ("[forktial]\nprocesses = 2\n", ": has no section [forktail] or [uwsgi]"),
    ("", ": has no section [forktail] or [uwsgi]")])
def test_settings_that_would_not_be_read_are_refused(server, text, why):
    app = server(start=False, config="forktail.ini")
    (app.home / "forktail.ini").write_text(text)
    refused(app.run(), f"forktail.ini{why}")


def test_a_configuration_file_may_follow_any_option(from_file):
    app = from_file("processes = 2\n", config=None, env="A=1")
    words = app.command()
    app.command = lambda: [*words, "--socket", "app.sock", "forktail.ini"]
    assert len(start_by_file(app).workers()) == 2


def test_a_variable_with_a_line_break_is_refused(server):
    refused(server(start=False, env="A=1\n2").run(), "env", "has a line break")


@pytest.mark.parametrize("line, why", [("processes", "write `key = value`"), ("[forktail", "closing ]")])
def test_a_line_that_is_no_setting_is_an_error_with_its_number(from_file, line, why):
    refused(from_file(f"{line}\n").run(), "forktail.ini:5: ", why)


def test_a_file_that_can_not_be_read_is_named(server):
    refused(server(start=False, config="nowhere.ini").run(), "nowhere.ini")


BAD = [
    ("processes", "0", "1 to 1000"),
    ("processes", "many", "1 to 1000"),
    ("threads", "1001", "1 to 1000"),
    ("listen", "-1", "1 to 1000000"),
    ("fork-mode", "eager", "exec, lazy, preload"),
    ("buffer-size", "65536", "1 to 65535"),
    ("buffer-size", "0", "1 to 65535"),
    ("body-limit", "1x", "65535, 64k, 100m"),
    ("socket-timeout", "soon", "250ms, 4s, 10m, 1h"),
    ("socket-timeout", "-1", "250ms, 4s, 10m, 1h"),
    ("worker-reload-mercy", "1d", "250ms, 4s, 10m, 1h"),
    ("chmod-socket", "rw", "octal digits"),
    ("chmod-socket", "1777", "octal digits"),
    ("umask", "8", "octal digits"),
    ("env", "NOVALUE", "NAME=VALUE"),
    ("env", "=1", "NAME=VALUE"),
    ("log-format", "xml", "json, text"),
    ("max-requests", "-1", "0 to 1000000000"),
    ("max-requests-delta", "-1", "0 to 1000000000"),
    ("control", "127.0.0.1:3032", "is not a path"),
    ("control", "@control", "is not a path"),
    ("stats-http", "true", "is not host:port"),
    ("log-level", "loud", "critical"),
]


@pytest.mark.parametrize("option, value, cure", BAD, ids=[f"{name} = {value}" for name, value, _ in BAD])
def test_a_bad_value_is_refused_with_option_value_and_cure(server, from_file, option, value, cure):
    refused(server(start=False, **{option: value}).run(), option, value, cure)
    refused(from_file(f"{option} = {value}\n").run(), option, value, cure)


@pytest.mark.parametrize("missing", ["app", "socket"])
def test_a_missing_app_or_socket_is_named_with_its_option(server, missing):
    refused(server(start=False, **{missing: None}).run(), f"{missing}: is missing", f"--{missing}")


def test_an_unknown_option_is_refused(server):
    refused(server(start=False, proceses=3).run(), "--proceses")

"""Each name that the reference pages have is one of the program's, and the other way round."""

import json
import re
import runpy
import subprocess

import pytest

from lib.app import ROOT
from lib.events import EVERYWHERE
from lib.hold import Held, release
from lib.tools import need
from lib.waiting import free_port, wait_for
from test_install import HELLO
from test_stats import get, samples, stats

NAME = re.compile(r"`(\w+)`")


def section(page, title):
    text = (ROOT / "docs" / page).read_text()
    return re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)[1]


def first_column(text):
    """The names in the first column of its table."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.M)
    return [name for row in rows for name in NAME.findall(row)]


def test_options_commands_and_manual_pages_say_what_the_program_says(build_dir, environment):
    result = subprocess.run([ROOT / "script/reference"], env={**environment, "FORKTAIL_BUILD": str(build_dir)}, text=True,
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["forktail.1", "forktail.ini.5"])
def test_a_manual_page_is_well_formed_and_shows_its_name(name, environment):
    page = ROOT / "docs/man" / name
    result = subprocess.run([need("man"), "--warnings", "-E", "UTF-8", "-l", page], text=True, capture_output=True,
                            env={**environment, "MANWIDTH": "100", "LANG": "C.UTF-8"}, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{name[:-2]} - " in result.stdout


def test_the_environment_on_the_page_of_commands_is_read_by_the_program():
    names = NAME.findall(re.search(r"\| environment \|.*?\n\n", (ROOT / "docs/commands.md").read_text(), re.S)[0])
    source = "".join(path.read_text() for house in ("cli", "story") for path in (ROOT / "backend" / house).rglob("*.cc"))
    for name in [name for name in names if name.isupper()]:
        assert f'"{name}"' in source, name


def test_the_fields_of_every_log_line_are_those_of_the_page():
    named = set(first_column(section("logs.md", "JSON (`log-format = json`, the default)")))
    assert named == EVERYWHERE - {"event"}


def test_the_fields_of_nginxs_line_are_those_of_the_page():
    written = re.findall(r'"(\w+)":', (ROOT / "conf/nginx/forktail_log.conf").read_text())
    assert first_column(section("logs.md", "nginx's line of a request")) == written


@pytest.fixture
def held(server, hold_app):
    """A server with a request that is under way."""
    app = server(app=hold_app, stats="stats.sock", stats_http=f"127.0.0.1:{free_port()}")
    Held(app, "held-for-a-look")
    wait_for(lambda: stats(app)["workers"][0]["status"] == "busy", "busy worker")
    yield app
    release(app)


ZEROES = "Fields that only uWSGI can fill are there and 0"


def test_the_fields_of_the_stats_are_those_of_the_page(held):
    zeroes = set(NAME.findall(re.search(rf"{ZEROES}(.*?)\n\n", (ROOT / "docs/stats.md").read_text(), re.S)[1]))
    told = stats(held)
    seen = {"The object": told, "A socket": told["sockets"][0], "A worker": told["workers"][0],
            "A core": told["workers"][0]["cores"][0]}
    for title, fields in seen.items():
        named = set(first_column(section("stats.md", title)))
        assert named == set(fields) - zeroes, title
    for fields in seen.values():
        for name in zeroes & set(fields):
            assert fields[name] in (0, []), name


def test_the_fields_of_a_tls_process_are_those_of_the_page(tls_server):
    (process,) = stats(tls_server(stats="stats.sock"))["tls_processes"]
    assert set(first_column(section("stats.md", "A TLS process"))) == set(process)


def test_the_metrics_are_those_of_the_page_with_their_types_and_labels(held):
    text = get(held, "/metrics").body
    types = dict(re.findall(r"# TYPE (\w+) (\w+)", text if isinstance(text, str) else text.decode()))
    labels = {}
    for sample in samples(text):
        name, _, rest = sample.partition("{")
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', rest))
    rows = re.findall(r"^\| `(forktail_\w+)` \| (\w+) \|([^|]*)\|", section("stats.md", "Metrics"), re.M)
    assert {name: (kind, set(NAME.findall(label))) for name, kind, label in rows} == {
        name: (kind, labels[name]) for name, kind in types.items()}


def test_the_metrics_are_what_prometheus_reads(held):
    parser = pytest.importorskip("prometheus_client.parser")
    text = get(held, "/metrics").body
    families = {family.name: family for family in parser.text_string_to_metric_families(
        text if isinstance(text, str) else text.decode())}
    assert families["forktail_requests"].type == "counter"
    assert [sample.labels for sample in families["forktail_workers"].samples] == [
        {"status": status} for status in ("idle", "busy", "cheap", "leaving")]


# What ends each command in which way. {running} is a server's socket, {control} its control socket, {logs} a folder
# of logs with the request {id}.
ENDS = {
    "serve": {1: ["--app", "nowhere.so", "--socket", "x.sock", "--allow-root"], 2: ["--no-such-option"]},
    "check": {0: ["--app", "{app}", "--socket", "x.sock", "--allow-root"], 1: ["--app", "nowhere.so", "--socket", "x.sock",
                                                                           "--allow-root"], 2: ["--no-such-option"]},
    "request": {0: ["--socket", "{running}", "/"], 1: ["--socket", "nowhere.sock", "/"], 2: ["/"],
                22: ["--socket", "{running}", "--fail", "/throw"]},
    "ctl": {0: ["-c", "{control}", "status"], 1: ["-c", "nowhere.sock", "status"], 2: ["-c", "{control}", "sing"]},
    "top": {0: ["-s", "{stats}"], 1: ["-s", "nowhere.sock"], 2: ["--no-such-option"]},
    "trace": {0: ["{id}", "--logs", "{logs}"], 1: ["ffffffff", "--logs", "{logs}"], 2: ["--logs", "{logs}"]},
    "slow": {0: ["--logs", "{logs}"], 1: ["--logs", "{empty}"], 2: ["--over", "x"]},
    "errors": {0: ["--logs", "{logs}"], 1: ["--logs", "{empty}"], 2: ["-n", "x"]},
    "at": {0: ["2026-11-28T06:00:00Z", "--around", "1h", "--logs", "{logs}"], 1: ["2020-01-01T00:00:00Z", "--logs", "{logs}"],
           2: []},
    "verify": {0: ["--logs", "{whole}"], 1: ["--logs", "{logs}"], 2: ["-n", "x"]},
    "completion": {0: ["bash"], 2: ["fish"]},
    "doctor": {0: ["--app", "{safe}"], 1: ["--app", "{app}"], 2: ["--app", "nowhere.so"]},
}


@pytest.fixture
def places(server, forkfacts, build_app, tmp_path):
    app = server(control="control.sock", stats="stats.sock")
    crash = ROOT / "t/story/endings/crash"
    (tmp_path / "empty").mkdir()
    return {"app": forkfacts, "safe": build_app(HELLO), "running": app.dial(), "control": app.home / "control.sock", "stats": app.home / "stats.sock",
            "logs": crash, "id": (crash / "id").read_text().strip(), "empty": tmp_path / "empty",
            "whole": ROOT / "t/story/endings/answered"}


def test_each_command_ends_with_the_exit_codes_that_its_help_names(forktail, places, environment, tmp_path):
    for command, ends in ENDS.items():
        told = subprocess.run([forktail, command, "--help"], text=True, capture_output=True, check=True).stdout
        footer = told.rpartition("Exit code")[2]
        for code, words in ends.items():
            result = subprocess.run([forktail, command, *(word.format(**places) for word in words)], cwd=tmp_path, text=True,
                                    env=environment, capture_output=True, timeout=60, check=False)
            assert result.returncode == code, (command, code, result)
            assert re.search(rf"\b{code}\b", footer) or f"with {code}" in told, (command, code, footer)


def test_there_is_one_place_for_the_version(forktail, build_dir, server):
    version = re.search(r"project\(forktail VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert subprocess.run([forktail, "--version"], text=True, capture_output=True, check=True).stdout == f"forktail {version}\n"
    assert re.search(rf"^## {re.escape(version)}", (ROOT / "CHANGELOG.md").read_text(), re.M), "CHANGELOG.md lacks it"
    for page in ("forktail.1", "forktail.ini.5"):
        assert f'"forktail {version}"' in (ROOT / "docs/man" / page).read_text()
    assert stats(server(stats="stats.sock"))["version"] == f"forktail {version}"
    module = (build_dir / "ngx_module/ngx_http_forktail_module.so").read_bytes()
    assert f"ngx_http_forktail_module {version}\0".encode() in module
    (package,) = build_dir.rglob("forktail.pc")
    assert f"\nVersion: {version}\n" in package.read_text()
    minor = version.rpartition(".")[0]
    assert f"find_package(forktail {minor} REQUIRED)" in (ROOT / "docs/application.md").read_text()
    assert f"version {minor}" in (ROOT / "README.md").read_text()
    assert set(re.findall(r"Appeared in:  ([\d.]+)", (ROOT / "docs/nginx-directives.md").read_text())) <= {minor}


def test_the_page_of_the_log_shows_a_line_that_is_json():
    (line,) = re.findall(r'^    (\{"ts".*\})$', (ROOT / "docs/logs.md").read_text(), re.M)
    assert list(json.loads(line)) == [name for name in ("ts", "level", "request_id", "pid", "tid", "worker", "gen", "seq", "src",
                                                        "msg")]


MULTIPLES = {"KiB": 1024, "m": 1 << 20, "s": 1}


def numbers_of(text):
    """"5,120" and "64 KiB" as numbers, "30 s" as 30."""
    found = re.findall(r"(\d[\d,]*)(?: ?(KiB|m|s)\b)?", text)
    return [int(number.replace(",", "")) * MULTIPLES.get(unit, 1) for number, unit in found]


def constant(name, path):
    """Of the source, in bytes or seconds; the one of 64 bits without a unit is in nanoseconds."""
    kind, value = re.search(rf"constexpr ([\w:<> ]+) {name}(?: = |\{{)([^;}}]+)", (ROOT / path).read_text()).groups()
    number = eval(re.sub(r"(?<=\d)'(?=\d)|(?<=\d)U?L?L?\b(?!\d)|std::size_t\{(\d+)\}", r"\1", value))
    per_unit = 1000 if "milliseconds" in kind else 10**9 if "int64_t" in kind else 1
    return number // per_unit


def test_the_limits_that_the_program_has_of_itself_are_those_of_the_page():
    rows = re.findall(r"^\| [^|]* \| ([^|]*) \| ([^|]*) in ((?:id|backend|ngx_module)/[\w/.]+)", (ROOT / "docs/limits.md").read_text(),
                      re.M)
    checked = 0
    for limit, names, path in rows:
        wanted = [constant(name, path) for name in re.findall(r"`(k\w+)`", names)]
        assert set(wanted) <= set(numbers_of(limit)), (limit, names, wanted)
        checked += len(wanted)
        for room in re.findall(r"`(Text<\d+>)`", names):
            assert room in (ROOT / path).read_text(), room
            assert int(room[5:-1]) in numbers_of(limit)
    assert checked > 15


def test_the_limits_that_options_set_are_the_options_defaults():
    defaults = dict(re.findall(r"Syntax: +([\w-]+) = .*\n(?:.*\n)*?    Default: +(.*)", (ROOT / "docs/options.md").read_text()))
    checked = 0
    for limit, names in re.findall(r"^\| [^|]* \| ([^|]*) \| `([a-z-]+)`", (ROOT / "docs/limits.md").read_text(), re.M):
        if defaults.get(names, "").rstrip("smh").isdigit() and not limit.startswith("1 to"):
            assert limit.replace(",", "").split()[0].rstrip(",") == defaults[names], (limit, names)
            checked += 1
    assert checked > 6


def test_the_defaults_that_the_help_names_are_those_of_the_options_page():
    reference = runpy.run_path(str(ROOT / "script/reference"))
    defaults = {option.name: option.default for _, options in reference["options_by_section"]() for option in options}
    checked = 0
    for names, _, what in reference["Help"]("serve").entries:
        name = next((one[2:] for one in names.split(",") if one.startswith("--")), None)
        if told := re.search(r"\(default:? (\w+)[;)]", what):
            assert told[1] in defaults[name] or (told[1], defaults[name]) == ("0", "never"), (names, what)
            checked += 1
        elif told := re.search(r"`(\w+)`[^`(]*\(default\)|(\w+) \(default\)|`(\w+)`, default\)", what):
            assert defaults[name] in told.groups(), (names, what)
            checked += 1
    assert checked > 15

"""The checks of the tree refuse what they are there for, in a small tree of their own; script/test ends as it
promises."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from lib.app import ROOT
from lib.tools import need

CLEAN = {
    "id/generate.h": '#include <string>\n#include "id/validate.h"\n',
    "ngx_module/pass.cc": '#include "pass.h"\n#include "id/generate.h"\n',
    "backend/wire/packet.cc": '#include "wire/packet.h"\n',
    "backend/server/child/worker.cc": '#include "wire/packet.h"\n#include "server/os/title.h"\n#include "log/sink.h"\n',
    "backend/cli/serve.cc": '#include "server/master/serve.h"\n',
    "backend/apps/shop.cc": "#include <forktail/app.h>\n",
}


@pytest.fixture
def tree(tmp_path):
    """tree(CHECK, FILE=TEXT...) is the outcome of script/CHECK over the clean tree with these files."""
    git = need("git")
    (tmp_path / "script").mkdir()

    def check(script, files):
        shutil.copy(ROOT / "script" / script, tmp_path / "script")
        for name, text in {**CLEAN, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run([git, "init", "-q", str(tmp_path)], check=True)
        subprocess.run([git, "-C", str(tmp_path), "add", "-A"], check=True)
        return subprocess.run([tmp_path / "script" / script], capture_output=True, text=True, check=False)

    return check


@pytest.mark.parametrize("script", ["check-includes", "check-tree", "check-sizes"])
def test_a_clean_tree_is_let_through(tree, script):
    result = tree(script, {})
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("name, include", [
    ("id/generate.h", '"ngx_module/pass.h"'),
    ("ngx_module/pass.cc", '"wire/packet.h"'),
    ("ngx_module/pass.cc", "<forktail/app.h>"),
    ("backend/wire/packet.cc", '"server/child/worker.h"'),
    ("backend/log/sink.cc", '"server/child/worker.h"'),
    ("backend/doctor/doctor.cc", '"server/child/worker.h"'),
    ("backend/story/trace.cc", '"server/child/worker.h"'),
    ("backend/log/sink.cc", '"doctor/doctor.h"'),
    ("backend/app/request.cc", '"log/sink.h"'),
    ("backend/wire/packet.cc", '"app/request.h"'),
    ("backend/server/generation/generation.cc", '"server/master/master.h"'),
    ("backend/server/child/worker.cc", '"server/generation/generation.h"'),
    ("backend/server/request/connection.cc", '"server/child/worker.h"'),
    ("backend/server/dispatch/ready_list.cc", '"server/request/connection.h"'),
    ("backend/server/shared/slots.cc", '"server/dispatch/ready_list.h"'),
    ("backend/server/os/title.cc", '"server/shared/slots.h"'),
    ("backend/server/os/title.cc", '"server/title.h"'),
    ("backend/server/stray.cc", '"server/os/title.h"'),
    ("backend/server/child/worker.cc", '"cli/serve.h"'),
    ("backend/server/child/worker.cc", '"story/trace.h"'),
    ("backend/include/forktail/app.h", '"log/sink.h"'),
    ("backend/cli/serve.cc", '"apps/shop.h"'),
    ("backend/apps/shop.cc", '"log/sink.h"'),
    ("backend/newcomer/new.cc", '"log/sink.h"'),
])
def test_a_house_may_not_include_what_is_not_for_it(tree, name, include):
    result = tree("check-includes", {name: f"#pragma once\n#include {include}\n"})
    assert result.returncode == 1
    assert f"{name}:2:" in result.stdout


@pytest.mark.parametrize("line, why", [
    ("built in {top}/build", "a path of this machine"),
    ("see /home/" + "somebody/notes", "a path of this machine"),
    ("// TO" + "DO: later", "a note of work left undone"),
    ("// FIX" + "ME", "a note of work left undone"),
    ("this is not" + " implemented", "a note of work left undone"),
    ("blanks follow  ", "blanks at the end of a line"),
])
def test_a_line_that_no_file_may_hold_is_refused(tree, tmp_path, line, why):
    result = tree("check-tree", {"notes.md": "all is well\n" + line.format(top=tmp_path) + "\n"})
    assert result.returncode == 1
    assert result.stdout.startswith("notes.md:2:")
    assert why in result.stderr


BODY = "  work();\n"
LONG = {
    "a file": ("backend/wire/long.cc", "int x;\n" * 451, "451 lines; a file has at most 450"),
    "a function": ("backend/wire/long.cc", "int longest(int a,\n            int b) {\n" + BODY * 68 + "}\n",
                   "long.cc:1: longest has 71 lines; a function has at most 70"),
    "a function of Python": ("t/integration/long.py", "def longest():\n" + "    work()\n" * 70,
                             "longest has 71 lines; a function has at most 70"),
    "a class": ("backend/wire/long.h", "class Long {\n" + BODY * 399 + "};\n",
                "backend/wire:Long: 401 lines in all its files; a class has at most 400"),
    "a member": ("backend/wire/long.cc", "".join(f"int Long::part{i}() {{\n{BODY * 60}}}\n" for i in range(7)),
                 "backend/wire:Long: 434 lines in all its files; a class has at most 400"),
}


@pytest.mark.parametrize("name, text, why", LONG.values(), ids=LONG.keys())
def test_what_is_too_long_is_refused(tree, name, text, why):
    result = tree("check-sizes", {name: text})
    assert result.returncode == 1
    assert why in result.stdout


def test_a_folder_that_has_too_many_files_is_refused(tree):
    result = tree("check-sizes", {f"backend/wire/part{i}.cc": "int x;\n" for i in range(40)})
    assert (result.returncode, result.stdout.count("\n")) == (1, 1)
    assert "backend/wire: 41 files; a folder has at most 40" in result.stdout


def test_each_promise_names_a_test_that_exists():
    promises = [line for line in (ROOT / "docs/guarantees.md").read_text().splitlines() if line.startswith("- ")]
    assert len(promises) > 20
    for promise in promises:
        found = re.search(r"`(test_\w+\.py)::(test_\w+)`$", promise)
        assert found, f"no test is named by: {promise}"
        file, test = found.groups()
        assert f"\ndef {test}(" in (ROOT / "t/integration" / file).read_text(), promise


# The program with steps of its own, which count what the real ones count.
CHECKS = r"""
import sys
sys.path.insert(0, sys.argv.pop(1))
import run_checks

def junit(step):
    report = step.log.with_suffix(".xml")
    report.write_text('<testsuite><testcase classname="pass" name="one"/>'
                      '<testcase classname="pass" name="two"><skipped message="uwsgi is not installed"/></testcase>'
                      '<testcase classname="pass" name="three"><skipped message="uwsgi is not installed"/></testcase>'
                      '</testsuite>')
    run_checks.count_junit(step, report, True)

def gtest(step):
    report = step.log.with_suffix(".json")
    report.write_text('{"testsuites": [{"name": "Log", "testsuite": [{"name": "rotates", "result": "SKIPPED"}]}]}')
    run_checks.count_gtest(step, report, True)

def tap(step):
    run_checks.count_tap(step, "1..2\nok 1 - status\nok 2 # skip no HTTP/3 here\n", True)

def red(step):
    step.case(False, "look here")

steps = {"junit": junit, "gtest": gtest, "tap": tap, "red": red}
run_checks.stages = lambda quick: [[[(name, steps[name]) for name in sys.argv[1:]]]]
sys.exit(run_checks.main())
"""


def run_checks(tmp_path, *steps):
    return subprocess.run([sys.executable, "-c", CHECKS, ROOT / "script", *steps], cwd=tmp_path,
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("steps, code, last", [
    (["junit"], 0, "1 passed, 0 failed"),
    (["junit", "red", "tap"], 1, "2 passed, 1 failed"),
])
def test_the_last_line_of_the_checks_is_the_sum_alone(tmp_path, steps, code, last):
    result = run_checks(tmp_path, *steps)
    assert (result.returncode, result.stdout.splitlines()[-1], result.stderr) == (code, last, "")


def test_what_was_skipped_and_why_stands_on_a_line_of_its_own_before_the_sum(tmp_path):
    *_, skipped, last = run_checks(tmp_path, "junit", "gtest", "tap").stdout.splitlines()
    assert skipped == ("4 skipped (2 of junit: uwsgi is not installed; 1 of gtest: Log.rotates; "
                       "1 of tap: no HTTP/3 here)")
    assert last == "2 passed, 0 failed"


@pytest.fixture
def ci(tmp_path):
    """ci(HERE, THERE) is the outcome of .ci/run where script/test does HERE, and script/test-on THERE."""
    tree = tmp_path / "tree"

    def run(here, there):
        for name, commands in (("test", here), ("test-on", there)):
            program = tree / "script" / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(f"#!/bin/sh\n{commands}\n")
            program.chmod(0o755)
        shutil.copytree(ROOT / ".ci", tree / ".ci", dirs_exist_ok=True)
        return subprocess.run([tree / ".ci/run"], capture_output=True, text=True, check=False,
                              env={**os.environ, "FORKTAIL_SUITES": "bookworm trixie"})

    return run


GREEN = "echo '3 passed, 0 failed'"


@pytest.mark.parametrize("here, there, code, last", [
    (GREEN, GREEN, 0, "6 passed, 0 failed"),
    ("echo '3 passed, 1 failed'; exit 1", GREEN, 1, "6 passed, 1 failed"),
    (GREEN, "echo '0 passed, 2 failed'; exit 1", 1, "3 passed, 2 failed"),
    (GREEN, "echo 'no Docker'; exit 1", 1, "3 passed, 1 failed"),
    (GREEN, "echo 'out of memory'", 1, "3 passed, 1 failed"),
    (GREEN, "echo '3 passed, 0 failed'; kill -9 $$", 1, "6 passed, 1 failed"),
])
def test_what_decides_is_the_sum_of_both_systems(ci, here, there, code, last):
    result = ci(here, there)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (code, last)


def test_what_decides_lets_no_want_of_a_tool_pass(ci):
    result = ci('[ "$FORKTAIL_REQUIRE" = all ] && echo "1 passed, 0 failed"', GREEN)
    assert result.stdout.splitlines()[-1] == "4 passed, 0 failed"


@pytest.mark.parametrize("require, code, last", [("", 0, "0 passed, 0 failed"), ("all", 1, "0 passed, 1 failed")])
def test_the_other_debian_wants_docker(tmp_path, require, code, last):
    shutil.copytree(ROOT / "script", tmp_path / "script")
    result = subprocess.run([sys.executable, tmp_path / "script/test-on", "trixie"], capture_output=True, text=True,
                            env={"PATH": str(tmp_path), "FORKTAIL_REQUIRE": require}, check=False)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (code, last)
    assert "Docker is not there" in result.stdout


def test_the_other_debian_must_be_named(tmp_path):
    result = subprocess.run([ROOT / "script/test-on"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, "script/test-on trixie" in result.stderr) == (2, True)

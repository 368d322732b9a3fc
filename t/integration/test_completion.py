"""`forktail completion bash`: every command and option is offered, and nothing is run for it."""

import re
import subprocess

import pytest

from lib.waiting import LIMIT

ASK = """
PATH=
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
compopt() { :; }  # only a shell at a terminal has it
_forktail
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(forktail, tmp_path_factory):
    made = subprocess.run([forktail, "completion", "bash"], capture_output=True, text=True, check=True, timeout=LIMIT)
    path = tmp_path_factory.mktemp("completion") / "forktail.bash"
    path.write_text(made.stdout)
    subprocess.run(["bash", "-n", path], check=True, timeout=LIMIT)
    return path


@pytest.fixture
def offered(script, tmp_path):
    """offered(WORD...) is what the last of these words is completed to, in an empty folder."""

    def ask(*words):
        result = subprocess.run(["bash", "-c", ASK, "bash", script, "forktail", *words], capture_output=True, text=True,
                                timeout=LIMIT, check=True, cwd=tmp_path)
        assert not result.stderr, "it wanted to run something"
        return result.stdout.split()

    return ask


def help_of(forktail, *command):
    return subprocess.run([forktail, *command, "--help"], capture_output=True, text=True, check=True, timeout=LIMIT).stdout


def commands(forktail):
    return re.findall(r"^  ([a-z]+) ", help_of(forktail).partition("Subcommands:")[2], re.M)


def test_every_command_is_offered_and_the_hidden_one_is_not(forktail, offered):
    names = commands(forktail)
    assert {"serve", "trace", "doctor", "completion"} <= set(names)
    assert set(offered("")) >= {*names, "--help", "--version"}
    assert offered("tra") == ["trace"]
    assert offered("work") == []


def test_every_option_of_every_command_is_offered(forktail, offered):
    for command in commands(forktail):
        options = {name for line in re.findall(r"^  (-\S+)", help_of(forktail, command), re.M) for name in line.split(",")}
        assert options, command
        assert set(offered(command, "-")) >= options, command


def test_options_are_offered_behind_other_options_and_operands(offered):
    assert offered("trace", "some-id", "--logs", "a.log", "--ot") == ["--otlp"]
    assert offered("serve", "--app", "x.so", "--fork-m") == ["--fork-mode"]


@pytest.mark.parametrize("words,values", [
    (["serve", "--fork-mode", ""], ["preload", "lazy", "exec"]),
    (["serve", "--fork-mode", "=", "la"], ["lazy"]),
    (["serve", "--log-level", "=", ""], ["trace", "debug", "info", "warn", "error", "critical", "off"]),
    (["ctl", "--control", "s", "mode", "e"], ["exec"]),
    (["completion", ""], ["bash"]),
    (["serve", "--processes", ""], []),
    (["trace", "--since", "x"], []),
])
def test_the_values_that_an_option_has_are_offered(offered, words, values):
    assert offered(*words)[:len(values) or 1] == values


def test_verbs_of_ctl_are_offered(offered):
    assert {"reload", "stop", "mode"} <= set(offered("ctl", ""))


def test_files_are_offered_where_an_option_takes_one(offered, tmp_path):
    (tmp_path / "access.log").write_text("")
    assert offered("trace", "--logs", "acc") == ["access.log"]
    assert offered("trace", "--logs", "b.log", "") == ["access.log"]


def test_another_shell_is_refused(forktail):
    result = subprocess.run([forktail, "completion", "fish"], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert result.returncode == 2 and "bash" in result.stderr

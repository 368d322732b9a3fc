"""Each block of README.md and docs/ is run as it stands, and what it shows is compared with what is printed.

What a block is shows in what it holds: a session (`$ ` before its commands), commands, a program, a configuration, a
line of a log. What it needs beforehand stands in BEFORE, what is checked otherwise in INSTEAD, what can not be run in
NOT_RUN, with the reason.
"""

import re

import pytest

from lib import page_kinds, page_recipes, page_scenes
from lib.app import ROOT
from lib.machine import Machine, need_machine, stage
from lib.pages import block_that_begins, blocks, pages

BEFORE = page_scenes.BEFORE | page_recipes.BEFORE
INSTEAD = page_scenes.INSTEAD | page_recipes.INSTEAD
# Blocks, by page (any, when it is empty) and beginning, and why they are not run.
NOT_RUN = {
    ("README.md", "#include <forktail/app.h>"): "the commands behind it build it, and it is asked behind those",
    ("docs/building.md", "docker-compose up --build"): "test_compose.py runs the containers",
    ("docs/building.md", "id/            the id"): "a list of folders",
    ("CONTRIBUTING.md", "script/setup --test"): "installs packages and runs all tests, this one too",
    ("CONTRIBUTING.md", "script/test-on trixie"): "runs all tests in a container",
    ("CONTRIBUTING.md", "cmake --preset asan"): "takes hours; script/test builds the same presets",
    ("CONTRIBUTING.md", "script/nginx-test --valgrind"): "ten seconds for each test",
    ("docs/recipes.md", "gunicorn"): "the application before it is run by it",
    ("docs/options.md", "Syntax:"): "test_conf.py starts a server with all of them, and t/unit/cli_serve_options_test.cc knows defaults",
    ("docs/dispatch.md", "free ── allocate"): "a diagram of states; t/unit/dispatch_kept_table_test.cc walks through it",
    ("docs/doctor.md", "forktail doctor --pid MASTER"): "a line of usage; test_docs_commands.py compares the options",
    ("docs/doctor.md", "# the metrics library"): "a list of names; test_doctor_pid.py has such files",
    ("docs/fork-facts.md", "pytest -s"): "test_fork_facts.py is part of script/test",
    ("docs/fork-facts.md", "preload: addresses"): "test_fork_facts.py prints it",
}


def beginning(table, block):
    return next((value for (page, first), value in table.items()
                 if page in (block.page, "") and block.text.startswith(first)), None)


ALL = blocks()
# Those of a walk are run by test_doctor_docs.py, one after the other.
RUN = [block for block in ALL if beginning(NOT_RUN, block) is None and not block.mark.startswith("walk: ")]


@pytest.fixture(scope="module")
def staged(build_dir, tmp_path_factory):
    need_machine()
    return stage(build_dir, tmp_path_factory.mktemp("docs") / "staged")


@pytest.fixture
def machine(staged, build_dir, environment, tmp_path):
    one = Machine(tmp_path / "machine", staged, build_dir, environment)
    yield one
    one.end()


@pytest.fixture(scope="module")
def nginx_machine(staged, build_dir, tmp_path_factory):
    """For what leaves nothing behind."""
    one = Machine(tmp_path_factory.mktemp("docs") / "machine", staged, build_dir, {})
    page_kinds.put_certificates(one)
    yield one
    one.end()


def parameters(of_directives):
    for block in RUN:
        if page_kinds.is_directive(block) == of_directives:
            slow = [pytest.mark.alone] if page_kinds.is_long(block) else []
            yield pytest.param(block, id=str(block), marks=slow)


@pytest.mark.parametrize("block", parameters(of_directives=False))
def test_what_a_page_says_works_as_it_stands(machine, block):
    if instead := beginning(INSTEAD, block):
        instead(machine, block)
        return
    if before := beginning(BEFORE, block):
        before(machine)
    page_kinds.run(machine, block)


# test_tls_sidecar.py serves by the one that is no part of http {}.
@pytest.mark.parametrize("path", sorted(set(ROOT.glob("conf/nginx/*.conf")) - {ROOT / "conf/nginx/tls_stream.conf"}),
                         ids=lambda path: path.name)
def test_an_example_of_conf_nginx_is_taken_as_it_is(nginx_machine, path):
    page_kinds.accepted(nginx_machine, f"{page_kinds.MODULE}\nevents {{}}\nhttp {{\n{path.read_text()}\n}}")


@pytest.mark.parametrize("block", parameters(of_directives=True))
def test_the_example_of_each_directive_is_taken_by_nginx(nginx_machine, block):
    page_kinds.run(nginx_machine, block)


def test_the_readmes_first_configuration_works_within_debians_own(machine):
    page_scenes.uwsgi_shop(machine)
    stock, site = "/etc/nginx/nginx.conf", "/etc/nginx/sites-available/default"
    load, http, location = re.fullmatch(r"(load_module.*;)\nhttp \{\n(.*?)\n    server \{\n(.*?)    \}\n\}",
                                        block_that_begins("README.md", "load_module").text, re.S).groups()
    machine.write(stock, load + "\n" + machine.read(stock).replace("http {", "http {\n" + http, 1), user="root")
    machine.write(site, re.sub(r"\tlocation / \{.*?\n\t\}", lambda _: location, machine.read(site), count=1, flags=re.S), user="root")
    machine.do("sudo nginx -t && sudo nginx")
    machine.wait("(exec 3<>/dev/tcp/127.0.0.1/80)", "nginx that listens")
    answer = machine.do("curl -sSi http://127.0.0.1/orders/7")
    found = re.search(r"^X-Request-ID: ([0-9a-f]{32})\r$", answer, re.M)[1]
    told = machine.wait(f"forktail trace {found} | grep -q ' app ' && forktail trace {found}", "lines of nginx and of the application")
    assert told.startswith("answered 200"), told


def anchors(path):
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", path.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_each_link_of_a_page_leads_somewhere(path):
    for text, target in re.findall(r"\[([^]]*)\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), f"{path.name}: {target}"
        file = re.fullmatch(r"`?(?:[\w-]+/)*([\w-]+\.\w+)`?", text)
        assert not file or file[1] == there.name, f"{path.name}: {text} leads to {target}"
        assert not anchor or anchor in anchors(there), f"{path.name}: {target}"


def test_every_page_of_docs_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text()
    for path in ROOT.glob("docs/*.md"):
        assert f"(docs/{path.name})" in text, path.name


def test_the_page_of_benchmarks_names_each_bench():
    named = set(re.findall(r"`script/bench (\w+)`", (ROOT / "docs/benchmarks.md").read_text()))
    assert named == {path.stem for kind in ("py", "sh") for path in ROOT.glob(f"t/bench/*.{kind}")}


def test_at_least_forty_blocks_are_run():
    assert len(RUN) >= 40


@pytest.mark.parametrize("table", [NOT_RUN, BEFORE, INSTEAD], ids=["NOT_RUN", "BEFORE", "INSTEAD"])
def test_each_entry_of_the_tables_is_about_a_block_that_exists(table):
    for page, first in table:
        assert any(page in (block.page, "") and block.text.startswith(first) for block in ALL), (page, first)

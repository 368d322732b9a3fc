"""The checks of the tree refuse what they are there for, in a small tree of their own."""

import shutil
import subprocess

import pytest

from lib.app import ROOT
from lib.tools import need

CLEAN = {
    "id/generate.h": '#include <string>\n#include "id/validate.h"\n',
    "ngx_module/pass.cc": '#include "pass.h"\n#include "id/generate.h"\n',
    "backend/wire/packet.cc": '#include "wire/packet.h"\n',
    "backend/server/worker.cc": '#include "wire/packet.h"\n#include "log/sink.h"\n',
    "backend/cli/serve.cc": '#include "server/serve.h"\n',
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


@pytest.mark.parametrize("script", ["check-includes", "check-tree"])
def test_a_clean_tree_is_let_through(tree, script):
    result = tree(script, {})
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("name, include", [
    ("id/generate.h", '"ngx_module/pass.h"'),
    ("ngx_module/pass.cc", '"wire/packet.h"'),
    ("ngx_module/pass.cc", "<forktail/app.h>"),
    ("backend/wire/packet.cc", '"server/worker.h"'),
    ("backend/log/sink.cc", '"server/worker.h"'),
    ("backend/log/sink.cc", '"wire/packet.h"'),
    ("backend/doctor/doctor.cc", '"server/worker.h"'),
    ("backend/story/trace.cc", '"server/worker.h"'),
    ("backend/server/worker.cc", '"cli/serve.h"'),
    ("backend/server/worker.cc", '"story/trace.h"'),
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

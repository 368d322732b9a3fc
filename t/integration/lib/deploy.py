"""New versions of an application."""

import os
import shutil

THROWS = """
#include <forktail/app.h>
#include <stdexcept>
struct Bad : forktail::App {
  Bad() { throw std::runtime_error("no database"); }
  forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
};
FORKTAIL_APP(Bad)
"""


def replace(app, name, path):
    """As a deployment does: never writing into a file that is mapped."""
    shutil.copy(path, app.home / "new")
    os.replace(app.home / "new", app.home / name)

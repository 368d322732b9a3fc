"""The module as a file: what it gives to nginx, what it wants from the system, and how it is set up."""

import re
import subprocess

import pytest

from lib.nginx import BINARY, ROOT
from lib.tools import need
from lib.waiting import free_port

CONF = ROOT / "conf/nginx"


def symbols(build_dir, *options):
    out = subprocess.run(
        [need("nm"), "-D", *options, build_dir / "ngx_module/ngx_http_forktail_module.so"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line.split()[-1] for line in out.splitlines()]


def test_it_exports_what_nginx_looks_up_and_nothing_else(build_dir):
    assert sorted(symbols(build_dir, "--defined-only")) == [
        "ngx_module_names", "ngx_module_order", "ngx_modules"]


def test_it_needs_nothing_of_the_cxx_library(build_dir):
    wanted = symbols(build_dir, "--undefined-only")
    assert [name for name in wanted if "GLIBCXX" in name or "CXXABI" in name] == []


@pytest.mark.parametrize("name", ["proxy", "fastcgi", "grpc"])
def test_the_examples_are_taken_by_nginx(build_dir, tmp_path, name):
    example = (CONF / f"{name}.conf").read_text()
    example = re.sub(r"listen \d+", f"listen 127.0.0.1:{free_port()}", example)
    (tmp_path / "fastcgi_params").write_text("fastcgi_param QUERY_STRING $query_string;\n")
    (tmp_path / "nginx.conf").write_text(f"""
        load_module {build_dir}/ngx_module/ngx_http_forktail_module.so;
        pid {tmp_path}/pid;
        events {{ }}
        http {{ access_log off; include {CONF}/forktail_log.conf; {example} }}
    """)
    subprocess.run([BINARY, "-t", "-q", "-p", tmp_path, "-c", tmp_path / "nginx.conf",
                    "-e", tmp_path / "error.log"], check=True)

"""The example project, built against an installed tree in both of the ways that it shows."""

import os
import shutil
import subprocess

import pytest

from lib.app import ROOT
from lib.tools import need

EXAMPLE = ROOT / "examples/shop"
FORM = "application/x-www-form-urlencoded"


def run(*command, **options):
    result = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"


@pytest.fixture(scope="module")
def prefix(build_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", str(build_dir), "--prefix", str(path))
    return path


def with_cmake(prefix, folder):
    run("cmake", "-S", str(EXAMPLE), "-B", str(folder), f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", str(folder))


def with_make(prefix, folder):
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    need("pkg-config")
    run(need("make"), "-C", str(folder), f"PKG_CONFIG_PATH={prefix}/lib/pkgconfig",
        "CXXFLAGS=-O0 -Wall -Wextra -Werror", env={**os.environ, "MAKEFLAGS": ""})


@pytest.mark.parametrize("build", [with_cmake, with_make])
def test_the_example_shop_sells(build, prefix, server, nginx, tmp_path):
    build(prefix, tmp_path / "shop")
    shop = server(app=tmp_path / "shop/libshop.so", env=f"SHOP_FILES={EXAMPLE}")
    web = nginx(to=shop)

    assert web.get("/").body == (EXAMPLE / "index.html").read_bytes()
    sold = web.get("/orders", "POST", "customer=J%C3%BCrgen&pieces=3", {"Content-Type": FORM})
    assert (sold.status, sold.getheader("Location")) == (303, "/orders/0")
    assert sold.getheader("Set-Cookie") == (
        "last_order=0; Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert web.get("/orders/last", headers={"Cookie": "last_order=0"}).body.startswith("Jürgen: 3, ".encode())
    assert web.get("/orders/1").status == web.get("/orders/last").status == 404
    assert web.get("/orders", "POST", "customer=", {"Content-Type": FORM}).status == 422
    assert web.get("/orders", "PUT").getheader("Allow") == "GET, POST, HEAD"
    (line,) = [line for line in shop.log() if line["msg"] == "sold 3 to Jürgen"]
    assert line["request_id"] == sold.getheader("X-Request-ID")
    assert web.get("/orders").body.decode() == 'id,customer,pieces\n0,"Jürgen",3\n'

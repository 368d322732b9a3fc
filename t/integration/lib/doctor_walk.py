"""The walks of docs/doctor.md and docs/doctor-app.md: their commands are run here, and their output is what the pages show.

    script/doctor-walk      writes it into the pages
"""

import os
import re
import shutil
import subprocess
import urllib.request

from lib.app import ROOT
from lib.tools import give_up, need
from lib.waiting import LIMIT, free_port

PAGES = [ROOT / "docs/doctor.md", ROOT / "docs/doctor-app.md"]
EXAMPLES = ROOT / "examples/doctor"
MARK = re.compile(r"(<!-- walk: (\w+) -->\n)((?:\n(?:    .*)?(?=\n))*)")


class Walk:
    """Each step's commands and their output, by the step's name in the page."""

    def __init__(self, forktail, prefork):
        self.forktail = forktail
        self.prefork = prefork
        self.environment = {**prefork.environment, "DATABASE_PORT": str(prefork.peer.port)}

    def steps(self):
        pid, url = self.serve("shop.py")
        yield "asked", self.asked(url)
        yield "looked", self.doctor(pid)
        yield "probed", self.doctor(pid, url)
        yield "lazy", self.doctor(*self.serve("shop.py", "--lazy-apps"), kinds=True)
        yield "cured", self.doctor(*self.serve("cured.py"))
        yield "app", self.doctor_of_app("shop.cc")
        yield "app_cured", self.doctor_of_app("cured.cc")

    def doctor_of_app(self, source):
        """The application is built as its developer would."""
        flags = subprocess.run([need("pkg-config"), "--cflags", "--libs", "hiredis"], capture_output=True, text=True,
                               check=False, timeout=LIMIT)
        if flags.returncode:
            give_up("hiredis is not installed (libhiredis-dev)")
        folder = self.prefork.home / "app"
        folder.mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / source, folder / "shop.cc")
        subprocess.run([need("g++"), "-std=c++20", "-g", "-shared", "-fPIC", f"-I{ROOT}/backend/include", "shop.cc",
                        *flags.stdout.split(), "-o", "libshop.so"], cwd=folder, check=True, timeout=9 * LIMIT)
        result = subprocess.run([self.forktail, "doctor", "--app", "./libshop.so", "--request", "GET /token"], cwd=folder,
                                env={**self.environment, "REDIS_PORT": str(self.prefork.peer.port)}, text=True,
                                timeout=9 * LIMIT, capture_output=True, check=False)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        return f"$ forktail doctor --app ./libshop.so --request 'GET /token'\n{result.stdout.strip()}"

    def serve(self, source, *options):
        port = free_port()
        self.prefork.environment = self.environment
        return self.prefork.uwsgi((EXAMPLES / source).read_text(), "--http-socket", f"127.0.0.1:{port}",
                                  *options)[0], f"http://127.0.0.1:{port}"

    def asked(self, url):
        """Until two workers have given the same token: which of them takes a request is the kernel's choice."""
        seen = {}
        for _ in range(1000):
            with urllib.request.urlopen(url, timeout=LIMIT) as response:
                line = response.read().decode().strip()
            token = re.search(r'"token": "(\w+)"', line)[1]
            if token in seen:
                return f"$ curl {url}\n{seen[token]}\n$ curl {url}\n{line}"
            seen[token] = line
        raise AssertionError("1000 requests went to one worker")

    def doctor(self, pid, url=None, kinds=False):
        words = ["--pid", str(pid)]
        if url:
            words += ["--probe", url, "--request", "GET /", "--i-may-stop-workers"]
        result = subprocess.run([self.forktail, "doctor", *words], env=self.environment, text=True, timeout=9 * LIMIT,
                                capture_output=True, check=False)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        shown = " ".join(f"'{word}'" if " " in word else word for word in words)
        output = result.stdout.strip()
        if kinds:
            output = "\n".join(line for line in output.splitlines() if re.match(r" +(name|\d+\.)|use|preload", line))
            shown += " | grep -E '^ +(name|[0-9]+\\.)|^use|^preload'"
        return f"$ forktail doctor {shown}\n{output}"


def shown():
    return {name: block for page in PAGES for name, block in blocks(page.read_text()).items()}


def blocks(text):
    return {name: block for _, name, block in MARK.findall(text)}


def as_block(output):
    return "".join(f"\n    {line}".rstrip(" ") for line in output.splitlines()) + "\n"


def shape(output, name):
    """What is the same in each run: numbers, and the room that they take, are not. Nor are, where workers load by
    themselves, the addresses that they come to."""
    text = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{16}\b", "N", output)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    text = re.sub(r"/\S*/prefork-\w+", "HOME", text)
    lines = [re.sub(r" +", " ", line).strip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if name != "lazy" or "address" not in line]


def write(forktail, prefork):
    found = {name: as_block(output) for name, output in Walk(forktail, prefork).steps()}
    for page in PAGES:
        page.write_text(MARK.sub(lambda match: match[1] + found[match[2]], page.read_text()))


if __name__ == "__main__":
    from lib.prefork import Prefork

    server = Prefork(dict(os.environ))
    try:
        write(ROOT / "build/dev/backend/cli/forktail", server)
    finally:
        server.end()

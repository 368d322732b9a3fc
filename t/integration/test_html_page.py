"""The page of `forktail trace --html`, as a browser shows it.

A browser is larger than all else that the tests need, so script/setup does not bring one: where Debian's `chromium` is
installed this runs, elsewhere it is skipped.

    apt-get install chromium && /usr/bin/python3 -m pytest t/integration/test_html_page.py
"""

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from lib.waiting import LIMIT

EXPECTED = Path(__file__).resolve().parents[1] / "story/expected"
LIGHT = {"paper": (0xff, 0xff, 0xff), "bar": (0x4a, 0x7f, 0xd0), "deep": (0x7f, 0xb0, 0xe8), "bad": (0xb3, 0x26, 0x1e)}
DARK = {"paper": (0x16, 0x19, 0x1d), "bar": (0x5b, 0x8f, 0xe0), "bad": (0xff, 0x8a, 0x80)}


@pytest.fixture
def browser(tmp_path):
    """browser(PAGE, OPTION...) is what the browser prints, and what it says of errors in the page."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")

    def show(page, *options):
        result = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
             f"--user-data-dir={tmp_path}/browser", "--window-size=1000,900", *options, f"file://{page}"],
            capture_output=True, text=True, timeout=6 * LIMIT, check=True)
        return result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line]

    return show


def pixels(path):
    """Of a PNG of 8 bits a colour, without interlacing: how often each colour stands there."""
    data = path.read_bytes()
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    assert (depth, interlaced) == (8, 0) and kind in (2, 6)
    size = 3 if kind == 2 else 4
    packed, at = b"", 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    raw, before, counts = zlib.decompress(packed), bytearray(width * size), {}
    for row in range(height):
        start = row * (width * size + 1)
        line = unfiltered(raw[start], bytearray(raw[start + 1:start + 1 + width * size]), before, size)
        for x in range(0, len(line), size):
            colour = tuple(line[x:x + 3])
            counts[colour] = counts.get(colour, 0) + 1
        before = line
    return counts


def unfiltered(method, line, above, size):
    for i, byte in enumerate(line):
        left, up, corner = (line[i - size] if i >= size else 0), above[i], (above[i - size] if i >= size else 0)
        if method == 4:
            estimate = left + up - corner
            nearest = min((abs(estimate - left), 0, left), (abs(estimate - up), 1, up), (abs(estimate - corner), 2, corner))
            add = nearest[2]
        else:
            add = (0, left, up, (left + up) // 2)[method]
        line[i] = (byte + add) & 255
    return line


def shown(browser, tmp_path, page, *options):
    picture = tmp_path / "picture.png"
    _, errors = browser(page, f"--screenshot={picture}", *options)
    assert errors == []
    return pixels(picture)


def test_the_waterfall_is_drawn_in_its_colours(browser, tmp_path):
    counts = shown(browser, tmp_path, EXPECTED / "retry.html")
    assert max(counts, key=counts.get) == LIGHT["paper"]
    for name in ("bar", "deep", "bad"):
        assert counts.get(LIGHT[name], 0) > 100, name


def test_who_likes_it_dark_gets_it_dark(browser, tmp_path):
    counts = shown(browser, tmp_path, EXPECTED / "crash.html", "--blink-settings=preferredColorScheme=0")
    assert max(counts, key=counts.get) == DARK["paper"]
    assert counts.get(DARK["bar"], 0) > 100 and counts.get(DARK["bad"], 0) > 100


def test_it_prints(browser, tmp_path):
    paper = tmp_path / "page.pdf"
    browser(EXPECTED / "crash.html", f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert re.findall(rb"/Type\s*/Page\b", paper.read_bytes()), "no page of paper"


def test_what_a_client_sent_is_text_and_runs_nowhere(browser, forktail, environment, tmp_path):
    (tmp_path / "app.log").write_text(
        '2026-11-28T06:00:00Z hostile-request-1 </td></table><script>document.title = "owned"</script>'
        '<img src=x onerror="document.title = \'owned\'"><svg onload=alert(1)>\n')
    page = tmp_path / "page.html"
    subprocess.run([forktail, "trace", "hostile-request-1", "--logs", tmp_path / "app.log", "--html", page], env=environment,
                   capture_output=True, timeout=LIMIT, check=True)
    document, errors = browser(page, "--dump-dom")
    assert errors == []
    assert "<script" not in document and "<img" not in document and "&lt;script&gt;" in document
    assert "<title>owned" not in document

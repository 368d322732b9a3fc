"""How each kind of block is run."""

import json
import re
import time

from lib.events import EVERYWHERE, documented
from lib.machine import HOME
from lib.pages import commands, missing
from lib.waiting import LIMIT

# Lines that are left out of a block that is run otherwise, and why.
LINES_NOT_RUN = {
    "cmake --preset release && cmake --build --preset release": "takes minutes; the dev build stands in its place",
    "sudo systemctl": "no systemd runs there; test_systemd.py speaks with the server as systemd does",
}
BUILD = "g++ -shared -fPIC hello.cc $(pkg-config --cflags --libs forktail) -o libhello.so"
MODULE = "load_module modules/ngx_http_forktail_module.so;"
NGINX = "/etc/nginx/nginx.conf"
CONTEXT = re.compile(r"(load_module|http|server|location|upstream|map|log_format|access_log|forktail_\w+|\w+_pass)\b[^:]*[{;]")
ID = re.compile(r"\b[0-9a-f]{32}\b")
# What is read here may still be on its way to where it is read.
MAY_COME_LATER = re.compile(r"cat|tail|grep|forktail|curl")


def kind_of(block):
    text = block.text
    if block.language:
        return {"sh": script, "console": session, "cpp": program, "ini": settings, "json": log_lines,
                "nginx": nginx_configuration, "cmake": cmake}[block.language]
    if text.startswith("$ "):
        return session
    if "#include <forktail/" in text:
        return program
    if text.startswith("Syntax:"):
        return directive
    if re.match(r"\[(forktail|uwsgi)\]$", text, re.M):
        return settings
    if text.startswith('{"ts"'):
        return log_lines
    if CONTEXT.match(text):
        return nginx_configuration
    return script


def is_long(block):
    """Compiles a good part of the tree."""
    return block.text.startswith(("cmake --preset module", "cd nginx-"))


def is_directive(block):
    return not block.language and kind_of(block) is directive


def run(machine, block):
    kind_of(block)(machine, block)


def session(machine, block):
    """Ids that are shown stand for those that come, also in the commands that follow."""
    ids = {}
    for command, shown in commands(block.text):
        for there, here in ids.items():
            command = command.replace(there, here)
        printed, line = printed_by(machine, command, shown)
        assert line is None, f"`{command}` does not print what is shown:\n{line}\nbut:\n{printed}"
        ids.update(zip(dict.fromkeys(ID.findall(shown)), dict.fromkeys(ID.findall(printed))))


def printed_by(machine, command, shown):
    end = time.monotonic() + LIMIT
    # Of lines about one millisecond any may come first.
    ordered = not command.startswith("forktail trace")
    while True:
        _, printed = machine.run(command)
        line = missing(shown, printed, ordered)
        if line is None or time.monotonic() > end or "curl" in command or not MAY_COME_LATER.match(command):
            return printed, line


def script(machine, block):
    kept = [line for line in block.text.splitlines() if not any(line.startswith(one) for one in LINES_NOT_RUN)]
    machine.do("set -e\n" + "\n".join(kept), limit=300)


def program(machine, block):
    """An application: it is built as the pages say, and asked."""
    machine.write(f"{HOME}/hello.cc", block.text)
    machine.do(BUILD, folder=HOME, limit=120)
    machine.do(f"forktail serve --app {HOME}/libhello.so --socket /tmp/hello.sock 2>/var/tmp/log &")
    machine.wait("forktail request --socket /tmp/hello.sock --ping", "server that serves")
    answer = machine.do("forktail request --socket /tmp/hello.sock --id of-this-request /")
    assert answer == "hello, of-this-request\n"


def cmake(machine, block):
    """What stands in the CMakeLists.txt of an application."""
    machine.do("mkdir project && cp hello.cc project")
    machine.write("project/CMakeLists.txt", f"cmake_minimum_required(VERSION 3.25)\nproject(hello LANGUAGES CXX)\n{block.text}\n")
    machine.do("cmake -S project -B project/build && cmake --build project/build", limit=120)
    machine.do("forktail doctor --app project/build/libhello.so")


def settings(machine, block):
    """An ini. Where lines begin with `-` and `+`, it is refused with those of `-`, and good with those of `+`."""
    before = re.sub(r"^-", "", re.sub(r"^\+.*\n?", "", block.text, flags=re.M), flags=re.M)
    after = re.sub(r"^\+", "", re.sub(r"^-.*\n", "", block.text, flags=re.M), flags=re.M)
    machine.write("/etc/forktail/before.ini", before + "\n", user="root")
    machine.write("/etc/forktail/after.ini", after + "\n", user="root")
    said = machine.do("sudo install -d -o reader /run/shop && forktail check -c /etc/forktail/after.ini")
    assert "the configuration is good" in said
    if before != after:
        code, said = machine.run("forktail check -c /etc/forktail/before.ini")
        assert code != 0 and "uWSGI" in said, said


def log_lines(machine, block):
    """Each has the fields that the table of events has for it, in any case those of every line."""
    del machine
    for line in re.sub(r"\n +", "", block.text).splitlines():
        fields = json.loads(re.sub(r"(?<=[,\]]) *\.\.\.,? *", "", line).replace(",]", "]"))
        level, own = documented().get(fields.get("event"), (fields["level"], set()))
        assert set(fields) <= EVERYWHERE | own, line
        assert fields["level"] == level, line


def put_certificates(machine):
    """What the examples of directives name."""
    machine.do("""
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'
openssl req -x509 $key -keyout client.key -out client.pem -subj /CN=client
openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=ca
touch ca.index passwords
printf '[ca]\\ndefault_ca = own\\n[own]\\ndatabase = ca.index\\ndefault_md = sha256\\n' >ca.conf
openssl ca -config ca.conf -gencrl -keyfile ca.key -cert ca.pem -out crl.pem -crldays 2
""", user="root", folder="/etc/ssl")


def directive(machine, block):
    """The example of a directive, in the first of its contexts."""
    name = re.search(r"Syntax: +(\w+)", block.text)[1]
    example = re.search(r"Example: +(.*)", block.text)[1]
    context = re.search(r"Context: +(.*)", block.text)[1].split(", ")[0]
    if example.startswith("location"):
        context = "server"
    around = {"http": "{}", "server": "server {{ {} }}", "location": "server {{ location /here {{ {} }} }}",
              "upstream": "upstream app {{ server unix:/run/app.sock; {} }}"}[context]
    accepted(machine, f"{MODULE} events {{}} http {{ {around.format(example)} }}", unless=f'unknown directive "{name}"')


def accepted(machine, text, unless=None):
    """nginx takes the configuration; or it is too old for it, and says what `unless` has."""
    machine.write(NGINX, text, user="root")
    code, said = machine.run("sudo nginx -t")
    if unless is None or unless not in said:
        assert code == 0 and "[warn]" not in said, f"{said}\n{text}"


def nginx_configuration(machine, block):
    """A whole one is started and asked, whatever answers; of a fragment nginx finds nothing to complain about."""
    text = re.sub(r"^ *\.\.\.\n", "", block.text, flags=re.M)
    if not re.search(r"^http\b", text, re.M):
        accepted(machine, f"{MODULE}\nevents {{}}\nhttp {{\n{text}\n}}")
        return
    start_nginx(machine, text)
    if "server {" not in text:
        return
    answer = machine.do("curl -sSi http://127.0.0.1/")
    found = re.search(r"^X-[\w-]+-ID: ([0-9a-f]{32})\r$", answer, re.M)
    assert found, answer
    if " 502 " not in answer:
        return
    errors = machine.do("cat /var/log/nginx/error.log")
    assert f'request_id: "{found[1]}"' in errors, errors


def start_nginx(machine, text):
    """With what Debian's nginx.conf has beside it."""
    machine.do("install -m 644 conf/nginx/forktail_log.conf conf/nginx/forktail_uwsgi_params /etc/nginx/", user="root")
    accepted(machine, f"{text}\nevents {{}}\nerror_log /var/log/nginx/error.log;\npid /run/nginx.pid;\n")
    machine.do("sudo nginx")
    if "server {" in text:
        machine.wait("(exec 3<>/dev/tcp/127.0.0.1/80)", "nginx that listens")

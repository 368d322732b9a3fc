"""What a block of the pages takes for granted: something that an earlier one has made, or that the reader has. Of the
recipes, page_recipes has it."""

import dataclasses
import json
import re

from lib.app import ROOT
from lib.machine import HOME, TREE
from lib.page_kinds import BUILD, MODULE, put_certificates, script, start_nginx
from lib.pages import block_that_begins, missing
from lib.tools import FULL

# The release build takes minutes, and what it builds is what is tested here from another tree: it stands where
# the release build would (build/release). All else is the real cmake, which root runs, since that tree is root's.
CMAKE = """\
#!/bin/sh
case "$*" in
    "--preset release" | "--build --preset release") exit 0 ;;
    "--install build/release --prefix build/run") exec sudo /usr/bin/cmake "$@" ;;
esac
exec /usr/bin/cmake "$@"
"""


def script_server(machine):
    """In another terminal."""
    machine.write("/usr/local/bin/cmake", CMAKE, user="root")
    machine.do("chmod 755 /usr/local/bin/cmake", user="root")
    machine.do("script/server >/var/tmp/server 2>&1 &")
    machine.wait("grep '^Serving on' /var/tmp/server", "script/server that serves")


def connection_before_the_fork(machine):
    """A database on the usual port, and what an application does that opens its connection too early."""
    machine.write(f"{HOME}/database.py", """
import socket
one = socket.create_server(("127.0.0.1", 5432))
kept = []
while True:
    kept.append(one.accept())
""")
    machine.do(f"python3 {HOME}/database.py &")
    machine.wait("(exec 3<>/dev/tcp/127.0.0.1/5432)", "database")
    machine.write(f"{HOME}/connected.py", "import socket\nconnection = socket.create_connection(('127.0.0.1', 5432))\n")


def uwsgi_shop(machine, more=""):
    """examples/python/shop.py under uWSGI."""
    machine.do("sudo install -d -o reader /run/shop /var/log/uwsgi")
    machine.do("uwsgi --plugin python3 --socket /run/shop/shop.sock --chmod-socket=666 --master --die-on-term --processes 4 "
               f"--wsgi-file examples/python/shop.py {more} >/var/log/uwsgi/shop.log 2>&1 &")
    machine.wait("test -S /run/shop/shop.sock && test $(pgrep -c uwsgi) = 5", "uWSGI with four workers")


def connected_behind_nginx(machine):
    """The README's nginx in front of that shop, whose master has connected to its database before the fork."""
    connection_before_the_fork(machine)
    uwsgi_shop(machine, f"--pythonpath {HOME} --shared-import connected")
    start_nginx(machine, block_that_begins("README.md", "load_module").text)


def balancer(machine):
    text = block_that_begins("README.md", "load_module", "forktail_trust").text
    start_nginx(machine, text)


def hello_behind_nginx(machine):
    hello_served(machine)
    start_nginx(machine, block_that_begins("docs/application.md", "load_module", "upstream hello").text)


def shop(machine):
    machine.do("cp /usr/local/lib/forktail/apps/libforkfacts.so ./libshop.so")


def hello_source(page):
    def before(machine):
        machine.write("hello.cc", block_that_begins(page, "#include <forktail/app.h>").text)

    return before


def hello_served(machine):
    """As the block before has it, by what that has built if it has been run."""
    block = block_that_begins("README.md", "g++ -shared")
    if HELLO:
        machine.write_bytes("libhello.so", HELLO[0])
        block = dataclasses.replace(block, text=block.text.splitlines()[-1])
    served_in_the_foreground(machine, block)


def serving(machine):
    """conf/forktail.ini as it is, by the user that it names."""
    machine.do("""
install -D -m 644 conf/forktail.ini /etc/forktail/forktail.ini
printf 'control = /run/forktail/control.sock\\n' >>/etc/forktail/forktail.ini
runuser -u forktail -- forktail serve -c /etc/forktail/forktail.ini &
""", user="root")
    machine.wait("forktail request --socket /run/forktail/forktail.sock --ping", "server that serves")


def controlled(machine):
    """The reader is the server's user."""
    machine.do("forktail serve --app /usr/local/lib/forktail/apps/libforkfacts.so --socket /tmp/a.sock --control /tmp/control.sock "
               "--pidfile /var/tmp/pid 2>/var/tmp/log &")
    machine.wait("forktail request --socket /tmp/a.sock --ping", "server that serves")
    machine.environment["FORKTAIL_CONTROL"] = "/tmp/control.sock"


def measured(machine):
    machine.do("forktail serve --app /usr/local/lib/forktail/apps/libforkfacts.so --socket /tmp/a.sock "
               "--stats-http 127.0.0.1:9191 2>/var/tmp/log &")
    machine.wait("curl -sS -o /dev/null http://127.0.0.1:9191/", "stats")


def upgradable(machine):
    """A new binary in the working directory, and the server that is to be replaced."""
    serving(machine)
    machine.do("cp /usr/local/bin/forktail forktail")


def rebuilt(machine):
    """A new build in the working directory, and the server that has the old one."""
    machine.do("cp /usr/local/lib/forktail/apps/libforkfacts.so libshop.so")
    machine.do("install -D -m 644 /usr/local/lib/forktail/apps/libforkfacts.so /srv/shop/libshop.so && install -d -m 777 /run/forktail",
               user="root")
    machine.do("forktail serve --app /srv/shop/libshop.so --socket /tmp/a.sock --control /run/forktail/control.sock 2>/var/tmp/log &")
    machine.wait("forktail request --socket /tmp/a.sock --ping", "server that serves")


# ---- Blocks that are no kind that page_kinds knows.


def error_line_without_and_with_the_module(machine, block):
    text = block_that_begins("README.md", "load_module").text
    without = re.sub(r".*(load_module|forktail on|_log|access_log).*\n", "", text)
    uwsgi_shop(machine)
    start_nginx(machine, without.replace("/usr/local/share/forktail/conf/nginx/forktail_uwsgi_params", "uwsgi_params"))
    machine.do("curl -sS http://127.0.0.1/die")
    machine.wait("grep prematurely /var/log/nginx/error.log", "error line")
    machine.do("sudo nginx -s quit")
    machine.wait("! test -e /run/nginx.pid", "nginx that has ended")
    start_nginx(machine, text)
    machine.do("curl -sS http://127.0.0.1/die")
    machine.wait("grep request_id /var/log/nginx/error.log", "error line with an id")
    lines = machine.do("grep prematurely /var/log/nginx/error.log").splitlines()
    assert len(lines) == 2
    for shown, line in zip(block.text.splitlines(), lines):
        assert missing("... " + shown, line) is None, line


def lines_of_the_python_example(machine, block):
    del machine
    example = (ROOT / "examples/python/shop.py").read_text()
    for line in filter(None, block.text.splitlines()):
        assert re.split(r"\s+#", line)[0] in example, line


HELLO = []


def served_in_the_foreground(machine, block):
    hello_source("README.md")(machine)
    *lines, last = block.text.splitlines()
    machine.do("\n".join(["set -e", *lines]), limit=120)
    HELLO.append(machine.read_bytes(f"{TREE}/libhello.so"))
    machine.do(f"{last} 2>/var/tmp/log &")
    machine.wait("forktail request --socket /tmp/hello.sock --ping", "server that serves")


# What stands around the pieces of applications, and around each of them.
PIECES = """
#include <forktail/app.h>
#include <forktail/fork_safe.h>
#include <forktail/router.h>
#include <spdlog/spdlog.h>
#include <functional>
#include <optional>
using namespace forktail;
struct Pool { void run(const std::function<void()>&); };
struct Shop {
  Router router_;
  std::optional<std::string> next_row();
  Response order(std::string_view);
  %s
};
"""
PIECE = """
  std::function<Response()> piece%d(const Context& context, Pool& pool, const std::string& id) {
    (void)context, (void)pool, (void)id;
    return [=, this, &pool]() -> Response { %s
    return {}; };
  }
"""
PIECES_SAID = {}


def piece_of_an_application(machine, block):
    """The compiler has nothing to say about it; it looks at all of them at once, since the headers are what takes long."""
    pieces = [one.text for (page, first), how in INSTEAD.items() if how is piece_of_an_application
              for one in [block_that_begins(page, first)]]
    assert block.text in pieces
    if "all" not in PIECES_SAID:
        machine.write("pieces.cc", PIECES % "".join(PIECE % (number, text) for number, text in enumerate(pieces)))
        PIECES_SAID["all"] = machine.run(
            "g++ -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Werror $(pkg-config --cflags forktail) pieces.cc", limit=120)
    assert PIECES_SAID["all"] == (0, ""), PIECES_SAID["all"]


def the_line_that_builds_the_program(machine, block):
    """By which page_kinds.program() builds the one above it."""
    del machine
    assert block.text == BUILD


def bytes_of_a_line(machine, block):
    """The expression gives back what the escapes of a line stand for."""
    del machine
    text = json.loads(r'"caf\u00e9 \uefc3( \uefee\uefbe\uef80"')
    assert eval(block.text) == "café".encode() + b" \xc3( " + "\uef80".encode()


def lines_of_text(machine, block):
    """The second line's event is the one of a worker that was killed."""
    machine.do("forktail serve --app /usr/local/lib/forktail/apps/libforkfacts.so --log-format text --socket /tmp/a.sock "
               "--processes 4 2>/var/tmp/log &")
    machine.wait("forktail request --socket /tmp/a.sock --ping", "server that serves")
    machine.run("forktail request --socket /tmp/a.sock /; forktail request --socket /tmp/a.sock /die")
    printed = machine.wait("grep -q lost /var/tmp/log && cat /var/tmp/log", "line about the death")
    of_application, of_server = block.text.splitlines()
    assert missing(of_server, printed) is None, printed
    columns = r"\S+Z (trace|debug|info|warn|error|critical) (-|\w+) \d+/\d+ (-|w\d+) (-|g\d+) #\d+ (-|[\w.]+:\d+) .*"
    assert re.fullmatch(columns, of_application) and "\t" not in of_application
    for line in printed.splitlines():
        assert re.fullmatch(columns, line), line
    assert [line for line in printed.splitlines() if " w" in line and "counter" in line]


def another_nginx(machine, block):
    """Debian's source under another name; it is only compiled when all is to be tested."""
    machine.do("cp -r /usr/share/nginx/src nginx-1.29.3")
    commands = block.text if FULL else block.text.replace("\ncmake --build --preset module", "")
    said = machine.do(f"set -e\n{commands}", limit=300)
    assert FULL or "Configuring nginx" not in said, said


def uwsgi_log_format(machine, block):
    machine.do("sudo install -d -o reader /run/shop")
    machine.write("log.ini", block.text + "\n")
    machine.do("uwsgi --ini log.ini --plugin python3 --socket /run/shop/shop.sock --chmod-socket=666 --master --die-on-term "
               "--wsgi-file examples/python/shop.py >/var/tmp/log 2>&1 &")
    machine.wait("test -S /run/shop/shop.sock", "uWSGI")
    machine.do("forktail request --socket /run/shop/shop.sock --id of-this-request /orders/7")
    machine.wait("grep -E '^of-this-request [0-9]+ GET /orders/7 200 [0-9]+ ms' /var/tmp/log", "line in this format")


SITE = """
server {
    listen 127.0.0.1:80;
    location / {
        include uwsgi_params;
        uwsgi_pass unix:/run/app.sock;
        uwsgi_read_timeout 10s;
        uwsgi_param APP_ENV production;
    }
}
"""


def renamed_directives(machine, block):
    machine.write(f"{HOME}/site.conf", SITE)
    machine.do(block.text, folder=HOME)
    text = machine.read(f"{HOME}/site.conf")
    assert "uwsgi" not in text and text.count("forktail_") == 3, text
    start_nginx(machine, f"{MODULE}\nhttp {{ {text} }}")


def report_of_the_queues(machine, block):
    """The page's own configuration, and a location that reports."""
    text = block_that_begins("docs/nginx-pass.md", "load_module").text
    start_nginx(machine, text.replace("location / {", "location = /queues { forktail_queue_report; }\nlocation / {"))
    report = json.loads(machine.do("curl -sS http://127.0.0.1/queues"))
    shown = json.loads(block.text)
    assert {zone: list(numbers) for zone, numbers in report.items()} == {zone: list(numbers) for zone, numbers in shown.items()}
    for name in ("size", "limit"):
        assert [numbers[name] for numbers in report.values()] == [numbers[name] for numbers in shown.values()]


def two_columns(machine, block):
    """An ini on the left, nginx's side of it on the right."""
    put_certificates(machine)
    machine.do("""
install -d /etc/forktail
for name in server.pem clients-ca.pem; do cp /etc/ssl/client.pem /etc/forktail/$name; done
cp /etc/ssl/client.key /etc/forktail/server.key
chmod 644 /etc/forktail/server.key
cp /etc/ssl/client.pem /etc/ssl/client.key /etc/ssl/ca.pem /etc/nginx/
""", user="root")
    lines = block.text.splitlines()
    at = lines[0].index("upstream")
    left = "\n".join(line[:at].rstrip() for line in lines)
    machine.write("/etc/forktail/page.ini", f"{left}\napp = /usr/local/lib/forktail/apps/libforkfacts.so\n", user="root")
    machine.do("forktail check -c /etc/forktail/page.ini")
    upstream, *location = (line[at:] for line in lines)
    start_nginx(machine, "\n".join([MODULE, "http {", upstream, "server {", *location, "}", "}"]))


def served_story(machine):
    """The lines of a request that killed its worker, with the page's id, where the page looks for them."""
    machine.do("cp access.json error.log /var/log/nginx/ && cp forktail.json /var/log/forktail/",
               user="root", folder=f"{TREE}/t/story/endings/crash")


def installed_as_a_service(machine, block):
    """With what systemd makes of RuntimeDirectory= and LogsDirectory=, the new user's check is a success."""
    machine.do("sed -i '/^forktail:/d' /etc/passwd /etc/group /etc/shadow", user="root")
    script(machine, block)
    machine.do("""
install -d -o forktail /run/forktail /var/log/forktail
runuser -u forktail -- forktail check -c /etc/forktail/forktail.ini
runuser -u www-data -- id -nG | grep -w forktail
""", user="root")


BEFORE = {
    ("README.md", "$ curl -i http://127.0.0.1:8080/die"): script_server,
    ("README.md", "$ curl -i http://127.0.0.1/die"): connected_behind_nginx,
    ("README.md", "$ forktail request"): hello_served,
    ("docs/application.md", "$ curl -i http://127.0.0.1/\n"): hello_behind_nginx,
    ("README.md", "$ curl -s -o /dev/null -H"): balancer,
    ("docs/application.md", "find_package"): hello_source("docs/application.md"),
    ("docs/uwsgi.md", "[uwsgi]\nsocket"): shop,
    ("docs/operations.md", "sudo install -m 755"): upgradable,
    ("docs/operations.md", "sudo install -m 644 libshop.so"): rebuilt,
    ("docs/stats.md", "$ curl"): measured,
    ("docs/story.md", "$ forktail trace"): served_story,
    ("docs/operations.md", "forktail ctl refork"): controlled,
}
INSTEAD = {
    ("docs/operations.md", "sudo useradd"): installed_as_a_service,
    ("README.md", "[error] "): error_line_without_and_with_the_module,
    ("README.md", "import python_logging"): lines_of_the_python_example,
    ("README.md", "g++ -shared"): served_in_the_foreground,
    ("docs/application.md", "g++ -shared"): the_line_that_builds_the_program,
    ("docs/application.md", "return {200"): piece_of_an_application,
    ("docs/application.md", "router_.get"): piece_of_an_application,
    ("docs/application.md", "pool.run"): piece_of_an_application,
    ("docs/doctor-app.md", "forktail::fork_safe"): piece_of_an_application,
    ("docs/logs.md", "b"): bytes_of_a_line,
    ("docs/logs.md", "2026-11-23T05:55:30.123456Z info"): lines_of_text,
    ("docs/building.md", "cd nginx-1.29.3"): another_nginx,
    ("docs/uwsgi.md", "sed -i"): renamed_directives,
    ("docs/nginx-pass.md", '{"forktail_queue'): report_of_the_queues,
    ("", "[forktail]  "): two_columns,
    ("docs/uwsgi.md", "[uwsgi]\nlog-format"): uwsgi_log_format,
}

"""The recipes of docs/recipes.md: what their blocks take for granted, and how those that are no kind are run."""

import json
import re
import shutil

import pytest

from lib.app import ROOT
from lib.machine import HOME
from lib.page_kinds import start_nginx
from lib.page_scenes import measured
from lib.pages import block_that_begins
from lib.tools import need

PROXY = """
load_module /usr/local/lib/nginx/modules/ngx_http_forktail_module.so;
http {
    forktail on;
    include forktail_log.conf;
    access_log /var/log/nginx/access_json.log forktail;
    server { location / { proxy_pass http://127.0.0.1:8000; } }
}
"""


def bears_the_id(machine, start, program):
    """What answers on port 8000, started so, logs the id that nginx has given."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed, and too large to ask for")
    machine.do(f"{start} >/var/tmp/log 2>&1 &", folder=HOME)
    machine.wait("(exec 3<>/dev/tcp/127.0.0.1/8000)", f"application of {program}")
    start_nginx(machine, PROXY)
    answer = machine.do("curl -sSi http://127.0.0.1/orders/7")
    found = re.search(r"^X-Request-ID: (\w+)\r$", answer, re.M)
    assert " 200 " in answer and found, answer
    machine.wait(f"grep -F '[{found[1]}]' /var/tmp/log | grep 'somebody wants'", "line with the id")
    told = machine.do(f"forktail trace {found[1]} --logs /var/log/nginx /var/tmp/log")
    assert "answered 200" in told and "somebody wants" in " ".join(told.split()), told


def python_application(machine, block):
    machine.write(f"{HOME}/hello.py", block.text)
    bears_the_id(machine, block_that_begins("docs/recipes.md", "gunicorn").text, "gunicorn")


def configured_logging(machine, block):
    machine.write(f"{HOME}/settings.py", f"""
import logging.config, sys
sys.path.insert(0, "/usr/local/share/forktail/conf/examples")
import python_logging
{block.text}
logging.config.dictConfig(LOGGING)
python_logging.with_request_id(lambda environ, start: logging.getLogger("shop").info("here"))({{"REQUEST_ID": "of-this-request"}}, None)
""")
    assert machine.do(f"python3 {HOME}/settings.py").endswith(" INFO [of-this-request] shop: here\n")


def node_application(machine, block):
    machine.write(f"{HOME}/hello.js", block.text)
    bears_the_id(machine, "node hello.js", "node")


def java_application(machine, block):
    machine.write(f"{HOME}/Hello.java", block.text)
    bears_the_id(machine, "java Hello.java", "javac")


def with_configuration(first, has):
    def before(machine):
        start_nginx(machine, block_that_begins("docs/recipes.md", first, has).text)

    return before


def filter_of_fail2ban(machine, block):
    need("fail2ban-regex")
    machine.do(block.text)


def behind_a_password(machine):
    filter_of_fail2ban(machine, block_that_begins("docs/recipes.md", "sed '/^mdre-auth"))
    machine.do("printf 'somebody:{PLAIN}secret\\n' >/etc/nginx/passwords", user="root")
    start_nginx(machine, PROXY.replace("location /", "auth_basic shop; auth_basic_user_file passwords; location /"))


def journal(machine, block):
    """There is no systemd in the machine: what its journal would print comes from a file."""
    crash = ROOT / "t/story/endings/crash"
    machine.write("/var/tmp/journal", (crash / "forktail.json").read_text())
    machine.write("/var/log/nginx/access.json", (crash / "access.json").read_text(), user="root")
    machine.write("/usr/local/bin/journalctl", "#!/bin/sh\n[ \"$*\" = '-u forktail -o cat' ] && cat /var/tmp/journal\n", user="root")
    machine.do("chmod 755 /usr/local/bin/journalctl", user="root")
    assert machine.do(block.text).startswith("answered 502: worker 3 was killed by SIGSEGV while handling it\n")


def metrics_that_exist(machine, block):
    """Whatever of ours a rule or a scrape names is served."""
    measured(machine)
    names = re.findall(r"forktail_\w+", block.text)
    served = machine.do("curl -sS http://127.0.0.1:9191/metrics")
    assert all(f"\n{name} " in served for name in names), served
    assert names or "127.0.0.1:9191" in block.text


BEFORE = {
    ("docs/recipes.md", "$ curl -i"): with_configuration("load_module", "mine"),
    ("docs/recipes.md", "$ curl -s -H"): with_configuration("load_module", "short"),
    ("docs/recipes.md", "$ curl -s -o /dev/null -u"): behind_a_password,
}
INSTEAD = {
    ("docs/recipes.md", "import logging"): python_application,
    ("docs/recipes.md", "LOGGING"): configured_logging,
    ("docs/recipes.md", "const"): node_application,
    ("docs/recipes.md", "import com"): java_application,
    ("docs/recipes.md", "sed"): filter_of_fail2ban,
    ("docs/recipes.md", "scrape_configs"): metrics_that_exist,
    ("docs/recipes.md", "groups"): metrics_that_exist,
    ("docs/recipes.md", "journalctl"): journal,
}

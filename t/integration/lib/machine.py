"""A machine of its own for what the pages tell to do, so that it can be done as it stands there.

Namespaces of mounts, processes and the network: the pages' paths (/etc/nginx, /var/log, /run, /usr/local), ports
and pids are there, and are gone with the machine. The tree stands in ~/forktail of the user `reader`, who may do
everything by sudo, as an installed forktail does in /usr/local. Nothing that is written there reaches the disk.
"""

import os
import shutil
import subprocess
import textwrap

import pytest

from lib.app import ROOT
from lib.processes import children_of
from lib.tools import need, need_root
from lib.waiting import LIMIT, wait_for

HOME = "/home/reader"
TREE = f"{HOME}/forktail"

# {fs} is a folder; {staged} a tree that `cmake --install` has made.
SETUP = r"""
set -e
fs={fs}
mount -t tmpfs -o mode=755,size=1g fs $fs
over() {{ # over FOLDER [ABOVE]: writes to FOLDER go elsewhere; what is in ABOVE is in it
    [ -d "$1" ] || return 0
    mkdir -p "$fs/up$1" "$fs/work$1"
    mount -t overlay over -o "lowerdir=${{2:+$2:}}$1,upperdir=$fs/up$1,workdir=$fs/work$1" "${{3:-$1}}"
}}
over /etc
over /usr/local {staged}/usr/local
over /usr/lib/nginx {staged}/usr/lib/nginx
over /usr/share/nginx
for folder in /home /run /var/log /var/tmp; do mount -t tmpfs -o mode=755 own $folder; done
chmod 1777 /var/tmp
echo 'reader:x:4242:4242::{home}:/bin/bash' >>/etc/passwd
echo 'forktail:x:4243:4243::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
printf 'reader:x:4242:\nforktail:x:4243:reader,www-data\n' >>/etc/group
sed -i 's/^\(adm:.*:\)\(.*\)$/\1reader,\2/; s/,$//' /etc/group
mkdir -p /etc/sudoers.d
echo 'reader ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/reader
chmod 440 /etc/sudoers.d/reader
printf 'reader:*:19000:0:99999:7:::\nforktail:*:19000:0:99999:7:::\n' >>/etc/shadow
printf '127.0.0.1 localhost %s\n' "$(hostname)" >/etc/hosts
mkdir -p {tree} /run/lock /var/log/nginx /var/log/forktail /run/forktail
over {root} "" {tree}
mkdir -p {tree}/build/release {tree}/build/module {tree}/build/run
over {build} "" {tree}/build/release
mount -t tmpfs own {tree}/build/module
mount -t tmpfs own {tree}/build/run
chown reader:reader {home} {tree} {tree}/build {tree}/build/module {tree}/build/run
chown forktail:forktail /var/log/forktail /run/forktail
mkdir -m 1777 $fs/tmp
keep() {{ # keep FOLDER AS: cmake's scripts name it, and it may lie under /tmp
    case $1 in /tmp/*) mkdir -p $fs$1 && mount --bind $2 $fs$1 ;; esac
}}
keep {root} {tree}
keep {build} {tree}/build/release
mount --rbind $fs/tmp /tmp
ip link set lo up
echo ready
trap : CHLD
while :; do sleep 1000 & wait; done
"""


def stage(build_dir, folder):
    """What `cmake --install` puts under /usr/local, and the module where Debian's nginx has its own."""
    subprocess.run(["cmake", "--install", str(build_dir), "--prefix", "/usr/local"], check=True,
                   capture_output=True, env={**os.environ, "DESTDIR": str(folder)})
    modules = folder / "usr/lib/nginx/modules"
    modules.mkdir(parents=True)
    shutil.copy(folder / "usr/local/lib/nginx/modules/ngx_http_forktail_module.so", modules)
    return folder


class Machine:
    def __init__(self, folder, staged, build_dir, environment):
        self.environment = {**{name: value for name, value in environment.items() if name.startswith("FORKTAIL")},
                            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "HOME": HOME,
                            "LANG": "C.UTF-8", "TZ": "UTC", "COLUMNS": "100"}
        folder.mkdir()
        text = SETUP.format(fs=folder, staged=staged, root=ROOT, build=build_dir, home=HOME, tree=TREE)
        self.errors = open(folder.with_suffix(".errors"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", text],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.process.wait(LIMIT)
            self.errors.seek(0)
            # A container may forbid it: then no program is missing.
            pytest.skip(f"no machine of its own for a page: {self.errors.read().strip()}")
        (self.first,) = children_of(self.process.pid)

    def inside(self, user):
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        return ["nsenter", "--target", str(self.first), "--mount", "--net", "--pid", "--", *become]

    def run(self, script, user="reader", folder=TREE, limit=6 * LIMIT):
        """Exit code and output, both streams as a terminal shows them. What it starts in the background lives on."""
        path = f"/var/tmp/output-{os.urandom(4).hex()}"
        command = f"exec >{path} 2>&1 </dev/null\ncd {folder}\n{script}"
        code = subprocess.run([*self.inside(user), "bash", "-c", command], env=self.environment, timeout=limit,
                              stdin=subprocess.DEVNULL, check=False).returncode
        return code, self.read(path)

    def do(self, script, **options):
        """As run(), for what must succeed; the output."""
        code, output = self.run(script, **options)
        assert code == 0, f"exit code {code} of:\n{textwrap.indent(script, '    ')}\n{output}"
        return output

    def read_bytes(self, path):
        return subprocess.run([*self.inside("root"), "cat", path], env=self.environment, capture_output=True, check=True).stdout

    def read(self, path):
        return self.read_bytes(path).decode(errors="replace")

    def write_bytes(self, path, data, user="reader"):
        """`path` is in the tree unless it is absolute."""
        subprocess.run([*self.inside(user), "bash", "-c", f"cd {TREE} && mkdir -p $(dirname {path}) && cat >{path}"], input=data,
                       env=self.environment, check=True)

    def write(self, path, text, user="reader"):
        self.write_bytes(path, text.encode(), user)

    def wait(self, script, what, **options):
        """Until the script succeeds; its output."""
        return wait_for(lambda: (result := self.run(script, **options))[0] == 0 and (result[1] or " "), what, 3 * LIMIT)

    def end(self):
        subprocess.run(["kill", "-KILL", str(self.first)], check=False)  # and with it all that runs there
        self.process.wait(LIMIT)
        self.process.stdout.close()
        self.errors.close()


def need_machine():
    need_root()
    for program in ("unshare", "nsenter", "runuser", "sudo", "ip"):
        need(program)

"""All checks: called by script/test.

A step is a function that takes its Step and counts into it. A step that knows its single test cases
counts those, any other counts as one case. Steps that mostly wait run beside those that compile.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
import xml.etree.ElementTree

LOGS = pathlib.Path("build/test-logs")
# Nothing here takes this long, but what hangs must end.
LIMIT_SECONDS = 2400
PARALLEL = max(2, os.cpu_count() or 1)
# Each leads a process group of its own.
RUNNING = set()
PRINTING = threading.Lock()


class Step:
    """One step: its log, its counts, and what to show of it when it is red."""

    def __init__(self, name):
        self.name = name
        self.log = LOGS / f"{name.replace(' ', '-').replace(':', '')}.log"
        self.passed = self.failed = 0
        self.failures = []
        self.skipped = []  # why, once for each case

    def case(self, passed, failure=None):
        if passed:
            self.passed += 1
        else:
            self.failed += 1
            if failure:
                self.failures.append(failure)

    def run(self, *command, env=None, log=None):
        """Runs a command into the log; true if it exited with 0."""
        with open(log or self.log, "ab") as output:
            output.write(f"$ {' '.join(map(str, command))}\n".encode())
            output.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
            RUNNING.add(process)
            try:
                return process.wait(LIMIT_SECONDS) == 0
            except subprocess.TimeoutExpired:
                output.write(f"\nended after {LIMIT_SECONDS} s\n".encode())
                return False
            finally:
                end(process)

    def tail(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line[:300] for line in lines[-40:])


def end(process):
    RUNNING.discard(process)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def give_up(number, _):
    for process in RUNNING.copy():
        end(process)
    os._exit(128 + number)  # past the threads that wait for them


def tracked(*patterns):
    return subprocess.check_output(["git", "ls-files", "--", *patterns], text=True).split()


def check_format(step):
    """One version judges: others format the same code otherwise."""
    if shutil.which("clang-format-14"):
        step.case(step.run("clang-format-14", "--dry-run", "-Werror", *tracked("*.cc", "*.h")))
    else:
        step.skipped.append("clang-format 14 alone judges, and is not there")


def check_script(name, *arguments):
    return lambda step: step.case(step.run(f"script/{name}", *arguments))


def check_nginx_versions(step):
    if os.environ.get("FORKTAIL_NGINX_SOURCES"):
        step.case(step.run("script/check-nginx-versions"))
    else:
        step.skipped.append("FORKTAIL_NGINX_SOURCES names no folder of nginx sources")


def configure(step, preset):
    if not step.run("cmake", "--preset", preset):
        raise BuildFailed


def build(step, preset, *targets):
    target_words = ["--target", *targets] if targets else []
    if not step.run("cmake", "--build", "--preset", preset, *target_words):
        raise BuildFailed


class BuildFailed(Exception):
    """Later steps would test an old build: ends the whole run."""


def build_dev(step):
    """What the nginx suites and the integration tests run, and clang-tidy looks at."""
    configure(step, "dev")
    build(step, "dev", "forktail", "forkfacts", "hostile", "forktail_doctor_recorder", "doctor_apps",
          "ngx_http_forktail_module")
    step.case(True)


def build_images(step):
    """So that the compose tests find them built; without Docker those tests say what is missing."""
    if shutil.which("docker-compose") and step.run("docker", "info"):
        step.case(step.run("docker-compose", "build", "--quiet"))
    else:
        step.skipped.append("Docker is not there")


def count_gtest(step, report, exited_well):
    """The cases of one GoogleTest binary; a crash leaves no report."""
    failed_before = step.failed
    if report.exists():
        for suite in json.loads(report.read_text())["testsuites"]:
            for case in suite["testsuite"]:
                name = f"{suite['name']}.{case['name']}"
                if case["result"] != "COMPLETED":
                    step.skipped.append(name)
                else:
                    reasons = [one["failure"] for one in case.get("failures", [])]
                    step.case(not reasons, "\n".join([name, *reasons]))
    if not exited_well and step.failed == failed_before:
        step.case(False, f"{report.stem} ended badly, see {step.log}")


def unit_tests(preset, without=()):
    def check(step):
        configure(step, preset)
        listing = subprocess.check_output(
            ["ctest", "--test-dir", f"build/{preset}", "--show-only=json-v1"], text=True
        )
        tests = [test["name"] for test in json.loads(listing)["tests"]]
        tests = [name for name in tests if name not in without]
        build(step, preset, *tests)  # a test's target has its name, and so has its program
        for name in tests:
            report = step.log.with_name(f"{step.log.stem}-{name}.json")
            report.unlink(missing_ok=True)
            exited_well = step.run(
                f"build/{preset}/t/unit/{name}", "--gtest_brief=1", f"--gtest_output=json:{report}"
            )
            count_gtest(step, report, exited_well)

    return check


def count_tap(step, text, exited_well):
    failed_before = step.failed
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if skip := re.match(r"(?:ok \d+|1\.\.0).*# skip\S*\s*(.*)", line, re.I):
            step.skipped.append(skip[1] or line)
        elif re.match(r"ok \d+", line):
            step.passed += 1
        elif re.match(r"not ok \d+", line):
            step.case(False, "\n".join([line, *lines[i + 1 : i + 12]]))
    if not exited_well and step.failed == failed_before:
        step.case(False, "\n".join(lines[-15:]))


def nginx_tests(*mode):
    """The suites side by side: each has its own nginx, port and directory, and mostly waits."""

    def check(step):
        def run_suite(path):
            log = step.log.with_name(f"{step.log.stem}-{pathlib.Path(path).stem}.log")
            log.unlink(missing_ok=True)
            exited_well = step.run("script/nginx-test", *mode, "-v", path, log=log)
            return log.read_text(errors="replace"), exited_well

        with concurrent.futures.ThreadPoolExecutor(4 * PARALLEL) as pool:
            for text, exited_well in pool.map(run_suite, tracked("t/nginx/*.t")):
                count_tap(step, text, exited_well)

    return check


def count_junit(step, report, exited_well):
    failed_before = step.failed
    if report.exists():
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            bad = [one for one in case if one.tag in ("failure", "error")]
            skip = case.find("skipped")
            if skip is not None:
                step.skipped.append(skip.get("message") or name)
            else:
                step.case(not bad, "\n".join([name, *(one.text or "" for one in bad)]))
    if not exited_well and step.failed == failed_before:
        step.case(False)


def run_pytest(step, *words, env=None):
    report = step.log.with_suffix(".xml")
    report.unlink(missing_ok=True)
    exited_well = step.run(
        "/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "--timeout=600", "-rA", "--durations=10",
        f"--junitxml={report}", *words, env=env,
    )  # fmt: skip
    count_junit(step, report, exited_well)


def integration_tests(kind, *selection):
    words = [*selection, "--quick"] if kind == "quick" else selection
    return lambda step: run_pytest(step, *words, "t/integration", env=None if kind == "all" else {"FORKTAIL_QUICK": "1"})


def fuzz(step):
    targets = [pathlib.Path(source).stem for source in tracked("t/fuzz/*_fuzz.cc")]
    build(step, "asan", *targets)

    def run_target(target):
        corpus = pathlib.Path("build/asan/corpus") / target
        corpus.mkdir(parents=True, exist_ok=True)
        log = step.log.with_name(f"{step.log.stem}-{target}.log")
        log.unlink(missing_ok=True)
        passed = step.run(
            f"build/asan/t/fuzz/{target}", corpus, "-max_total_time=10",
            f"-artifact_prefix={LOGS}/{target}-", log=log,
        )  # fmt: skip
        return passed, "\n".join([target, *log.read_text(errors="replace").splitlines()[-30:]])

    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        for passed, failure in pool.map(run_target, targets):
            step.case(passed, failure)


# Of one thread, each of them.
WITHOUT_THREADS = ("id_test", "ngx_module_test", "wire_test", "request_command_test")


def stages(kind):
    """One after the other: what runs side by side, each a list of steps one after the other."""
    compiling = [("unit tests", unit_tests("dev"))]
    suites = [("nginx suites", nginx_tests())]
    if kind == "quick":
        compiling.append(("clang-tidy", check_script("check-tidy", "10")))
    elif kind == "all":
        compiling = [
            ("unit tests: asan", unit_tests("asan")),
            ("unit tests: tsan", unit_tests("tsan", WITHOUT_THREADS)),
            ("clang-tidy", check_script("check-tidy", "45")),
            ("fuzz", fuzz),
            ("images", build_images),
        ]
        suites.append(("nginx suites: HUP", nginx_tests("--hup")))
    yield [[
        ("format", check_format),
        ("includes", check_script("check-includes")),
        ("tree", check_script("check-tree")),
        ("nginx versions", check_nginx_versions),
        ("sizes", check_script("check-sizes")),
        ("events", check_script("check-events")),
        ("build dev", build_dev),
    ]]
    yield [compiling, suites]
    # They wait more than they work.
    integration = [("integration", integration_tests(kind, "-m", "not alone", f"-n{2 * PARALLEL}", "--dist=loadfile"))]
    if kind != "quick":
        integration.append(("integration: alone", integration_tests(kind, "-m", "alone")))
    yield [integration]


def run_step(name, check):
    step = Step(name)
    step.log.write_bytes(b"")
    start = time.monotonic()
    going_on = True
    try:
        check(step)
    except BuildFailed:
        step.case(False)
        going_on = False
    except Exception:  # a bug here, or a tool that is not there: one red step
        step.case(False, traceback.format_exc())
    seconds = time.monotonic() - start
    counts = f"{step.passed} passed, {step.failed} failed, {len(step.skipped)} skipped"
    with PRINTING:
        print(f"{'FAILED' if step.failed else 'ok':<7} {name:<20} {seconds:6.1f} s  {counts}", flush=True)
        if step.failed:
            print("\n".join(step.failures or [step.tail()]))
            print(f"(the whole output: {step.log})", flush=True)
    return step, going_on


def run_lane(lane):
    """The steps that were run, and whether all builds went well."""
    done = []
    for name, check in lane:
        step, going_on = run_step(name, check)
        done.append(step)
        if not going_on:
            return done, False
    return done, True


def tell_what_was_skipped(steps):
    reasons = collections.Counter((step.name, " ".join(why.split())) for step in steps for why in step.skipped)
    if reasons:
        each = "; ".join(f"{count} of {name}: {why}" for (name, why), count in reasons.items())
        print(f"{sum(reasons.values())} skipped ({each})")


def use_compiler_cache():
    """A clone at another place finds there what this one has compiled."""
    if shutil.which("ccache"):
        os.environ.setdefault("CCACHE_BASEDIR", os.getcwd())
        os.environ.setdefault("CCACHE_NOHASHDIR", "1")
        for language in ("C", "CXX"):
            os.environ.setdefault(f"CMAKE_{language}_COMPILER_LAUNCHER", "ccache")


def run_stages(stages):
    """The exit code. The last line tells the counts."""
    LOGS.mkdir(parents=True, exist_ok=True)
    done = []
    for lanes in stages:
        with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
            results = list(pool.map(run_lane, lanes))
        for steps, _ in results:
            done += steps
        if not all(going_on for _, going_on in results):
            print("a build failed: the steps after it were not run")
            break
    tell_what_was_skipped(done)
    passed, failed = (sum(getattr(step, what) for step in done) for what in ("passed", "failed"))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    kind = {"--quick": "quick", "--system": "system"}.get("".join(sys.argv[1:]), "all")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, give_up)
    use_compiler_cache()
    return run_stages(stages(kind))


if __name__ == "__main__":
    sys.exit(main())

"""Applications that `forktail serve` can not start: it says why and ends."""

import os

import pytest

every_mode = pytest.mark.parametrize("mode", ["preload", "lazy", "exec"])


def fails_to_start(app, *words):
    """It ends with 1, says why in its log, and leaves neither socket nor process."""
    result = app.run()
    assert result.returncode == 1, result
    (critical,) = [line["msg"] for line in app.log(level="critical") if line.get("event") != "crash"]
    for word in words:
        assert word in critical
    assert not os.path.exists(app.options["socket"])


@every_mode
def test_an_application_that_is_not_there(server, mode):
    fails_to_start(server(start=False, app="./libnowhere.so", fork_mode=mode), "./libnowhere.so", "no such file")


@every_mode
def test_an_application_that_is_no_shared_object(server, mode):
    fails_to_start(server(start=False, app=__file__, fork_mode=mode), __file__)


def test_a_shared_object_that_is_no_application(server, build_app):
    fails_to_start(server(start=False, app=build_app("int x;")), "is no forktail application", "FORKTAIL_APP")


@every_mode
@pytest.mark.parametrize("thrown, told", [('std::runtime_error("no database")', "threw: no database"),
                                          ("42", "threw something that is no std::exception")])
def test_an_application_whose_constructor_throws(server, build_app, mode, thrown, told):
    fails_to_start(server(start=False, fork_mode=mode, processes=2, app=build_app(f"""
        #include <forktail/app.h>
        #include <stdexcept>
        struct Bad : forktail::App {{
          Bad() {{ throw {thrown}; }}
          forktail::Response handle(const forktail::Request&, forktail::Context&) override {{ return {{}}; }}
        }};
        FORKTAIL_APP(Bad)
    """)), "its constructor " + told)


@every_mode
def test_an_application_that_dies_at_load(server, build_app, mode):
    fails_to_start(server(start=False, fork_mode=mode, app=build_app("""
        #include <forktail/app.h>
        #include <cstdlib>
        struct Bad : forktail::App {
          Bad() { abort(); }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
        };
        FORKTAIL_APP(Bad)
    """)), "killed by SIGABRT while it")


def test_an_application_that_throws_when_its_worker_starts(server, build_app):
    fails_to_start(server(start=False, processes=2, app=build_app("""
        #include <forktail/app.h>
        #include <stdexcept>
        struct Bad : forktail::App {
          void on_worker_start(const forktail::Worker&) override { throw std::runtime_error("no pool"); }
          forktail::Response handle(const forktail::Request&, forktail::Context&) override { return {}; }
        };
        FORKTAIL_APP(Bad)
    """)), "on_worker_start threw: no pool")


@pytest.mark.parametrize("change, why", [("version += 1", "rebuild it against this server's"),
                                         ("sizes[1] += 8", "its forktail::Response has"),
                                         ("library = 2", "another standard library"),
                                         ("string_abi ^= 1", "its std::string is another class")])
def test_an_application_with_another_abi_stamp(server, build_app, change, why):
    fails_to_start(server(start=False, app=build_app(f"""
        #include <forktail/app.h>
        constexpr forktail::AbiStamp other() {{
          forktail::AbiStamp stamp = forktail::kAbiStamp;
          stamp.{change};
          return stamp;
        }}
        extern "C" FORKTAIL_API const forktail::AppEntry forktail_app_entry;
        extern "C" const forktail::AppEntry forktail_app_entry = {{other(), nullptr}};
    """)), why)

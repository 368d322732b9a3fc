"""docs/nginx-directives.md says what the module's directive tables say."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTEXTS = {"MAIN": "http", "SRV": "server", "LOC": "location", "LIF": "if in location", "UPS": "upstream"}
# Names that the tables have for several flags at once.
SHORT = {"kAnywhere": "MAIN SRV LOC", "kFlag": "MAIN SRV LOC", "kTake1": "MAIN SRV LOC", "kMore": "MAIN SRV LOC",
         "kHttpAndServer": "MAIN SRV"}


def in_tables():
    found = {}
    for source in (ROOT / "ngx_module").glob("*.cc"):
        text = source.read_text()
        for name, flags in re.findall(r'(?:directive\(|\{ngx_string\()"(forktail\w*)"\)?,\s*([\w\s|]+),', text):
            for word, meaning in SHORT.items():
                flags = re.sub(rf"\b{word}\b", " ".join(f"NGX_HTTP_{one}_CONF" for one in meaning.split()), flags)
            contexts = {CONTEXTS[one] for one in re.findall(r"NGX_HTTP_(\w+?)_CONF", flags)}
            if contexts:  # a variable has none
                found.setdefault(name, set()).update(contexts)
    return found


def in_reference():
    text = (ROOT / "docs/nginx-directives.md").read_text()
    return {name: (body, set(re.search(r"Context: +(.*)", body)[1].split(", ")))
            for name, body in re.findall(r"\n### (\w+)\n(.*?)(?=\n##|\Z)", text, re.S)}


def test_every_directive_is_in_the_reference_with_its_contexts_and_nothing_else_is():
    tables = in_tables()
    assert len(tables) > 50
    reference = in_reference()
    assert set(reference) == set(tables)
    for name, contexts in tables.items():
        assert reference[name][1] == contexts, name


def test_every_variable_is_in_the_reference_and_has_a_value_of_its_kind(nginx):
    sources = "".join(path.read_text() for path in (ROOT / "ngx_module").glob("*.cc"))
    made = set(re.findall(r'\{ngx_string\("(forktail_\w+)"\), offsetof', sources)) | {"forktail_queue_time"}
    table = (ROOT / "docs/nginx-directives.md").read_text().partition("## Variables")[2]
    named = re.findall(r"^\| `\$(\w+)` \|", table, re.M)
    assert set(named) == made | {"request_id"}
    web = nginx(http_conf="forktail_trace_context on;",
                server_conf='location / { return 200 "' + "\n".join(f"{name}=${name}" for name in named) + '"; }')
    shown = dict(line.split("=", 1) for line in web.get("/", headers={"X-Request-ID": "no id"}).body.decode().splitlines())
    assert re.fullmatch("[0-9a-f]{32}", shown["forktail_id"]) and shown["request_id"] == shown["forktail_id"]
    assert (shown["forktail_id_source"], shown["forktail_client_id"]) == ("replaced", "no id")
    assert shown["forktail_traceparent"] == f"00-{shown['forktail_trace_id']}-{shown['forktail_span_id']}-02"
    assert shown["forktail_trace_id"] == shown["forktail_id"] and shown["forktail_queue_time"] == ""


def test_every_entry_says_syntax_default_version_and_an_example():
    for name, (body, _) in in_reference().items():
        assert re.search(rf"\n    Syntax: +{name}\b.*;\n", body), name
        for what in ("Default", "Appeared in", "Example"):
            assert re.search(rf"\n    {what}: +\S", body), (name, what)
        assert re.search(rf"\n    Example: .*\b{name}\b", body), name

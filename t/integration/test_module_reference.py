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


def test_every_entry_says_syntax_default_version_and_an_example():
    for name, (body, _) in in_reference().items():
        assert re.search(rf"\n    Syntax: +{name}\b.*;\n", body), name
        for what in ("Default", "Appeared in", "Example"):
            assert re.search(rf"\n    {what}: +\S", body), (name, what)
        assert re.search(rf"\n    Example: .*\b{name}\b", body), name

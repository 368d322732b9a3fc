"""The OTLP lines of `forktail trace --otlp`, read by a schema: t/story/otlp/trace.proto, with protobuf's own JSON reader.

FORKTAIL_GOLDEN=update in test_trace.py writes the files that are read here. The JSON encoding of OTLP is protobuf's but for the
ids, which are hexadecimal digits there and base64 in protobuf, and for enumerations, which are numbers.
"""

import base64
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lib.tools import give_up, need
from lib.waiting import LIMIT

STORY = Path(__file__).resolve().parents[1] / "story"
FILES = sorted((STORY / "expected").glob("*.otlp"))
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """read(LINE) is the message that the line is; what is none raises."""
    try:
        from google.protobuf import json_format
    except ImportError:
        give_up("protobuf for Python is not installed (python3-protobuf)")
    folder = tmp_path_factory.mktemp("otlp")
    subprocess.run([need("protoc"), "-I", STORY / "otlp", f"--python_out={folder}", "trace.proto"], check=True, timeout=LIMIT)
    sys.path.insert(0, str(folder))
    try:
        schema = importlib.import_module("trace_pb2")
    finally:
        sys.path.remove(str(folder))
    return lambda line: json_format.Parse(as_protobuf(line), schema.ExportTraceServiceRequest())


def as_protobuf(line):
    def convert(value):
        if isinstance(value, list):
            return [convert(one) for one in value]
        if not isinstance(value, dict):
            return value
        for key, digits in IDS.items():
            if key in value:
                assert re.fullmatch(f"[0-9a-f]{{{digits}}}", value[key]), (key, value[key])
        for key in ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "intValue"):
            assert isinstance(value.get(key, ""), str), f"{key} is a number of 64 bits: a string"
        for key in ("kind", "code"):
            assert isinstance(value.get(key, 0), int), f"{key} is a number, never a name"
        return {key: base64.b64encode(bytes.fromhex(one)).decode() if key in IDS else convert(one)
                for key, one in value.items()}

    return json.dumps(convert(json.loads(line)))


def spans_of(message):
    return [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_line_is_a_request_of_the_schema(read, path):
    lines = path.read_text().splitlines()
    assert lines
    for line in lines:
        spans = spans_of(read(line))
        ids = {span.span_id for span in spans}
        assert len(ids) == len(spans), "two spans have one id"
        assert len({span.trace_id for span in spans}) == 1
        roots = [span for span in spans if not span.parent_span_id]
        assert len(roots) == 1 and roots[0].kind == 2
        for span in spans:
            assert span.start_time_unix_nano <= span.end_time_unix_nano
            assert span.name and (not span.parent_span_id or span.parent_span_id in ids)
        for resource in read(line).resource_spans:
            assert [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]


def test_what_is_no_otlp_is_refused_by_the_schema(read):
    """So that the test above can fail."""
    line = FILES[0].read_text().splitlines()[0]
    for wrong in (line.replace('"kind":2', '"kindness":2'), line.replace('"name":"GET"', '"name":7'),
                  line.replace('"stringValue"', '"string"', 1)):
        with pytest.raises(Exception, match="Failed to parse|no field named"):
            read(wrong)

"""What can be asked: two words, and nothing that changes anything."""

import json

import pytest

from edged.status.answers import answer
from edged.status.document import Identity, document

DOCUMENT = document(Identity("farm-1", "1", 1, 0.0), (), {"x": {"odd": "\ud800"}}, now_s=0.0, now_ms=0)


def test_status_is_one_line_of_json():
    said = answer(b"status\n", lambda: DOCUMENT)
    assert said.endswith(b"\n")
    assert said.count(b"\n") == 1
    assert json.loads(said)["gateway"] == "farm-1"


def test_metrics_are_prometheus_text():
    assert answer(b"metrics\r\n", lambda: DOCUMENT).startswith(b"# HELP edged_info")


@pytest.mark.parametrize(
    "request_line", [b"", b"\n", b"stop\n", b"status now\n", b"STATUS\n", b"\xff\xfe\n", b"x" * 300]
)
def test_anything_else_is_an_error_and_reads_nothing(request_line):
    asked = []
    assert answer(request_line, lambda: asked.append(1)).startswith(b"error: ")
    assert not asked

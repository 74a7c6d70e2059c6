"""No secret survives scrubbing."""

from __future__ import annotations

import pytest

from metered_realtime.scrub import scrub, scrubbed_error

SECRET = "S3cr3t-v4lue"


@pytest.mark.parametrize(
    "text",
    [
        f"wss://host/v1?key={SECRET}",
        f"wss://host/v1?a=1&token={SECRET}&b=2",
        f"GET /v1?TOKEN={SECRET} HTTP/1.1",
        f"rtsp://admin:{SECRET}@10.0.0.1/stream",
        f"connecting to rtsp://{SECRET}@cam:554/x failed",
        f"a=ice-pwd:{SECRET}\r\na=ice-ufrag:{SECRET}",
        f'{{"credential": "{SECRET}"}}',
        f"credential='{SECRET}'",
        f"the key pk_live_{SECRET} was refused",
        f"sk_secret_{SECRET}",
        "token eyJhbGciOiJIUzI1NiJ9.S3cr3t-v4lue.S3cr3t-v4lue",
    ],
)
def test_secrets_are_masked(text):
    assert SECRET not in scrub(text)
    assert "***" in scrub(text)


@pytest.mark.parametrize("text", ["", "plain words", "http://host/path?x=1", "mail me at a@b.c", "keyboard=5"])
def test_other_text_is_left_alone(text):
    assert scrub(text) == text


def test_scrubbing_twice_changes_nothing():
    once = scrub(f"wss://u:{SECRET}@h/v1?key={SECRET}")
    assert scrub(once) == once


def test_error_keeps_its_type_where_it_can():
    assert isinstance(scrubbed_error(ValueError(f"?key={SECRET}")), ValueError)
    original = ValueError("harmless")
    assert scrubbed_error(original) is original


def test_error_that_cannot_be_remade_keeps_its_name():
    class PickyError(Exception):
        def __init__(self, a, b):
            super().__init__(f"?key={a}{b}")

    shown = scrubbed_error(PickyError(SECRET, "x"))
    assert "PickyError" in str(shown)
    assert SECRET not in str(shown)
    assert isinstance(scrubbed_error(KeyboardInterrupt(f"?key={SECRET}")), RuntimeError)

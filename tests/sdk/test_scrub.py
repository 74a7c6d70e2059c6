"""No secret survives scrubbing."""

from __future__ import annotations

import traceback

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


def test_error_of_the_application_is_masked_without_being_made_again():
    class AnswerError(Exception):
        def __init__(self, answer):
            super().__init__(f"{answer.status} at ?key={SECRET}")
            self.status = answer.status

    class Answer:
        status = 403

    shown = scrubbed_error(AnswerError(Answer))
    assert str(shown) == "403 at ?key=***"
    assert (type(shown), shown.status) == (AnswerError, 403)


def test_masked_error_does_not_lead_to_an_unmasked_cause():
    error = ValueError(f"?key={SECRET}")
    error.__cause__ = KeyError(SECRET)
    assert SECRET not in "".join(traceback.format_exception(scrubbed_error(error)))


def test_error_that_makes_up_its_own_text_keeps_its_name():
    shown = scrubbed_error(OSError(5, f"?key={SECRET}"))
    assert SECRET not in str(shown)
    assert "OSError" in str(shown)

"""The log: readable, prioritised for the journal, and without secrets whoever wrote them."""

import io
import logging
import os
import sys

import pytest

from edged.log import Redactor, configure, is_journal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:pw@cam/1 failed", "rtsp://***@cam/1 failed"),
        ("rtsps://user@cam/1", "rtsps://***@cam/1"),
        ("rtsp://user:p@ss@cam/1", "rtsp://***@cam/1"),
        ("GET /v1?key=pk_live_1&x=2 HTTP", "GET /v1?key=***&x=2 HTTP"),
        ("wss://h/v1?token=ey.J.x'", "wss://h/v1?token=***'"),
        ("the key pk_live_abc-1 is wrong", "the key pk_live_*** is wrong"),
        ("sk_secret_abc and sk_id_abc", "sk_secret_*** and sk_id_abc"),
        ("greenhouse/key: 5", "greenhouse/key: 5"),
        ("http://cam/a@b", "http://cam/a@b"),
        ("mail a@b.c", "mail a@b.c"),
    ],
)
def test_secrets_are_known_by_their_shape(text, shown):
    assert Redactor()(text) == shown


def test_the_secrets_of_the_settings_are_masked_wherever_they_stand():
    redact = Redactor(["rtsp://u:p%40ssw0rd9@cam/1", "correct horse battery", "tiny", "ab", "test:", "rtsp://cam/2"])
    assert redact("password p@ssw0rd9 or p%40ssw0rd9") == "password *** or ***"
    assert redact("xcorrect horse batteryx") == "x***x"
    assert redact("tiny tinyness") == "*** tinyness"
    assert redact("ab test: rtsp://cam/2 cam") == "ab test: rtsp://cam/2 cam"


def test_the_password_of_an_address_that_urllib_refuses_is_masked_too():
    assert Redactor(["rtsp://u:geheim@[::1"])("geheim") == "***"
    assert Redactor(["rtsp://u:geheim@\u2100/1"])("geheim") == "***"
    assert Redactor(["rtsp://u:p@ssword@cam"])("p@ssword") == "***"


def test_a_line_for_people_has_time_and_level():
    stream = io.StringIO()
    configure("info", ["geheim-wort"], stream)
    logging.getLogger("edged.x").info("the word is %s", "geheim-wort")
    assert stream.getvalue()[8:] == " INFO    the word is ***\n"


def test_a_traceback_is_masked_too():
    stream = io.StringIO()
    configure("info", ["geheim-wort"], stream)
    try:
        raise ValueError("rtsp://u:p@cam geheim-wort")
    except ValueError:
        logging.getLogger("edged.x").exception("it failed")
    assert "rtsp://***@cam ***" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert "ValueError: rtsp://u" not in stream.getvalue()


def test_the_journal_gets_a_priority_before_every_line(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    with path.open("w") as stream:
        about = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
        configure("debug", (), stream)
        log = logging.getLogger("edged.x")
        log.debug("d")
        log.info("i")
        log.warning("w")
        log.error("e\nmore")
        log.critical("c")
    assert path.read_text() == "<7>d\n<6>i\n<4>w\n<3>e\n<3>more\n<2>c\n"


def test_a_stream_that_is_not_the_journal_gets_no_prefix(tmp_path):
    with (tmp_path / "x").open("w") as stream:
        assert not is_journal(stream, {"JOURNAL_STREAM": "1:2"})
        assert not is_journal(stream, {})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def test_configuring_again_replaces_the_first_configuration():
    first, second = io.StringIO(), io.StringIO()
    configure("info", (), first)
    configure("error", (), second)
    logging.getLogger("edged.x").warning("quiet")
    logging.getLogger("edged.x").error("loud")
    assert first.getvalue() == ""
    assert "loud" in second.getvalue()
    assert "quiet" not in second.getvalue()


def test_libraries_are_quiet_unless_we_debug():
    configure("info", (), io.StringIO())
    assert not logging.getLogger("aioice.ice").isEnabledFor(logging.INFO)
    configure("debug", (), io.StringIO())
    assert logging.getLogger("aioice.ice").isEnabledFor(logging.INFO)
    assert not logging.getLogger("websockets.client").isEnabledFor(logging.DEBUG)


def test_the_log_goes_to_standard_error(capsys):
    configure("info", (), sys.stderr)
    logging.getLogger("edged.x").info("here")
    captured = capsys.readouterr()
    assert "here" in captured.err
    assert captured.out == ""

"""The two loggers of the package."""

from __future__ import annotations

import logging

from metered_realtime import Logger, NoopLogger, StdlibLogger


def test_standard_logger_writes_message_and_context(caplog):
    caplog.set_level(logging.DEBUG)
    sink = StdlibLogger()
    sink.debug("one")
    sink.info("two", {"a": 1})
    sink.warning("three")
    sink.error("four")
    assert [record.getMessage() for record in caplog.records] == ["one", "two {'a': 1}", "three", "four"]
    assert caplog.records[0].name == "metered_realtime"


def test_silent_logger_writes_nothing(caplog):
    caplog.set_level(logging.DEBUG)
    log = NoopLogger()
    for write in (log.debug, log.info, log.warning, log.error):
        write("x", {"y": 1})
    assert caplog.records == []
    assert isinstance(log, Logger)
    assert isinstance(StdlibLogger(logging.getLogger("mine")), Logger)

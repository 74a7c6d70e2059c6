"""What waits for its turn is published with what is left of its life, or not at all."""

from __future__ import annotations

import pytest

from edged.errors import PublicationLateError
from edged.mqtt.messages import Facts


def test_what_has_waited_has_less_time_left():
    assert Facts(10.0, "re", b"mark").after(4.0) == Facts(6.0, "re", b"mark")
    assert Facts(10.0).after(0.0) == Facts(10.0)


def test_what_never_expires_may_wait_for_ever():
    assert Facts(None, "re").after(1e9) == Facts(None, "re")


def test_what_has_expired_while_it_waited_is_not_published():
    with pytest.raises(PublicationLateError, match=r"expired after 2\.0 s"):
        Facts(2.0).after(2.0)

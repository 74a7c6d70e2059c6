"""What an answer of the hub means: wait, hold, or never."""

import pytest

from edged.telemetry.verdict import Again, Hold, Never, judge
from metered_realtime import (
    AckTimeoutError,
    DisconnectedError,
    NotConnectedError,
    OversizedPayloadError,
    ServerRequestError,
)


@pytest.mark.parametrize("error", [DisconnectedError("gone"), NotConnectedError("not yet")])
def test_a_lost_link_is_sent_again_over_the_next_one(error):
    assert judge(error, "farm") == Again(end_link=False)


@pytest.mark.parametrize("error", [AckTimeoutError("r1", 15), ConnectionResetError("reset"), TimeoutError()])
def test_a_link_that_only_looks_alive_is_ended(error):
    assert judge(error, "farm") == Again(end_link=True)


@pytest.mark.parametrize(
    ("code", "word", "longest_s"), [("over_message_quota", "quota", 900), ("action_not_permitted", "hub.key", 60)]
)
def test_what_somebody_can_mend_is_held_for_a_minute_and_longer(code, word, longest_s):
    verdict = judge(ServerRequestError(code), "farm")
    assert isinstance(verdict, Hold)
    assert (verdict.reason, verdict.first_s, verdict.longest_s) == (code, 60, longest_s)
    assert word in verdict.sentence


@pytest.mark.parametrize("code", ["backend_error", "internal_error", "something_new"])
def test_trouble_of_the_hub_is_held_with_growing_delays(code):
    verdict = judge(ServerRequestError(code), "farm")
    assert isinstance(verdict, Hold)
    assert verdict.first_s < 1
    assert verdict.reason == code
    assert code in verdict.sentence


@pytest.mark.parametrize(
    "code",
    [
        "channel_not_authorized",
        "channel_reserved",
        "invalid_channel",
        "channel_limit_exceeded",
        "missing_data",
        "malformed_message",
    ],
)
def test_what_concerns_one_channel_only_is_dropped_so_that_others_go_on(code):
    verdict = judge(ServerRequestError(code), "barn")
    assert isinstance(verdict, Never)
    assert verdict.reason == code
    assert "'barn'" in verdict.sentence


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OversizedPayloadError(70_000, 65_536), "too_large"),
        (ValueError("bad"), "unsendable"),
        (TypeError(), "unsendable"),
    ],
)
def test_what_our_own_client_refuses_is_dropped(error, reason):
    verdict = judge(error, "farm")
    assert isinstance(verdict, Never)
    assert verdict.reason == reason

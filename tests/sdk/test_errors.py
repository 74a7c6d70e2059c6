"""Errors carry values and one sentence, in one tree."""

from __future__ import annotations

import pytest

from metered_realtime import errors
from metered_realtime.errors import ReplaceTrackFailure

CASES = [
    (errors.SignallingConnectError(4001, "bad key"), {"close_code": 4001, "close_reason": "bad key"}, "4001"),
    (errors.SignallingConnectError(1006, ""), {"close_reason": ""}, "dropped the connection before its welcome"),
    (errors.SignallingConnectError(1006, "no route"), {"close_code": 1006}, "could not be reached: no route"),
    (errors.SignallingConnectError(401, "handshake rejected"), {"close_code": 401}, "with HTTP status 401"),
    (errors.ServerRequestError("peer_not_found", None, "r"), {"code": "peer_not_found", "request_id": "r"}, "peer_not"),
    (errors.AckTimeoutError("r", 15.0), {"request_id": "r", "timeout": 15.0}, "15 s"),
    (errors.OversizedPayloadError(5, 4), {"size": 5, "cap": 4}, "5 bytes"),
    (errors.ReconcileTimeoutError(), {}, "member list"),
    (errors.MeteredPeerSendError("self_send", "no"), {"code": "self_send"}, "no"),
    (errors.MeteredPeerOversizedError(5, 4), {"size": 5, "cap": 4}, "5 bytes"),
    (
        errors.MeteredPeerStateError("invalid_state", "join", "no", "closed"),
        {"code": "invalid_state", "method": "join", "current_state": "closed"},
        "no",
    ),
    (
        errors.MeteredPeerReplaceTrackError(("a",), (ReplaceTrackFailure("b", ValueError()),)),
        {"succeeded": ("a",)},
        "1 of 2",
    ),
    (errors.IceRestartExhaustedError(9), {"attempts": 9}, "9 attempts"),
    (errors.DataChannelOverflowError(9, 8), {"queued": 9, "cap": 8}, "9 messages"),
    (errors.NotJsonError(7, "bad syntax"), {"size": 7}, "bad syntax"),
]


@pytest.mark.parametrize(("error", "values", "words"), CASES)
def test_error_carries_its_values_and_says_a_sentence(error, values, words):
    assert {name: getattr(error, name) for name in values} == values
    assert words in str(error)
    assert isinstance(error, errors.MeteredRealtimeError)


def test_signalling_errors_share_a_base():
    for kind in (
        errors.NotConnectedError,
        errors.SignallingConnectError,
        errors.ServerRequestError,
        errors.AckTimeoutError,
        errors.DisconnectedError,
        errors.OversizedPayloadError,
    ):
        assert issubclass(kind, errors.SignallingError)

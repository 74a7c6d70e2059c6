"""Which ends and errors an application must hear of."""

from __future__ import annotations

import pytest

from metered_realtime.fatal import fatal_close, fatal_error


@pytest.mark.parametrize("code", [4001, 4002, 4003, 4012, 4020])
def test_final_closes_say_what_and_why(code: int) -> None:
    error = fatal_close(code, "because of key pk_live_secret1")
    assert error is not None
    assert str(code) in str(error)
    assert "because" in str(error)
    assert "secret1" not in str(error)


@pytest.mark.parametrize("code", [1000, 1006, 1011, 4000, 4010, 4011])
def test_ordinary_closes_are_not_fatal(code: int) -> None:
    assert fatal_close(code, "") is None


def test_a_close_without_a_reason_is_a_whole_sentence() -> None:
    assert str(fatal_close(4020, "")).endswith("admin_disconnect (4020)")


@pytest.mark.parametrize(
    "code",
    ["account_suspended", "channel_not_authorized", "action_not_permitted", "invalid_token", "token_expired"],
)
def test_errors_the_application_must_act_on(code: str) -> None:
    assert code in str(fatal_error(code, None))
    assert "why" in str(fatal_error(code, "why"))


def test_other_errors_are_left_to_the_raw_client() -> None:
    assert fatal_error("over_message_quota", "slow down") is None

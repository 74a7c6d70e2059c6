"""Where the URL of a connection comes from, and that only its caller sees it."""

from __future__ import annotations

import asyncio

import pytest

from metered_realtime.credential import url_finder


def finder(provider, timeout_s=5.0):
    return url_finder("wss://x", None, provider, timeout_s)


async def test_a_key_is_always_the_same():
    find = url_finder("wss://x", "pk secret", None, 5.0)
    assert await find() == await find() == "wss://x/v1?key=pk%20secret"
    assert "secret" not in repr(find)


async def test_a_token_is_asked_for_each_time_of_a_plain_or_a_coroutine_function():
    tokens = iter(["a", "b"])
    find = finder(lambda: next(tokens))
    assert [await find(), await find()] == ["wss://x/v1?token=a", "wss://x/v1?token=b"]

    async def provider():
        return "c"

    assert await finder(provider)() == "wss://x/v1?token=c"


@pytest.mark.parametrize("answer", ["", None, 5, b"x"])
async def test_what_is_no_token_is_refused(answer):
    with pytest.raises(ValueError, match="non-empty string"):
        await finder(lambda: answer)()


async def test_a_silent_provider_is_named_and_its_own_timeout_is_its_own():
    with pytest.raises(TimeoutError, match="did not answer within"):
        await finder(lambda: asyncio.sleep(60), 0.01)()

    async def provider():
        raise TimeoutError("upstream")

    with pytest.raises(TimeoutError, match="upstream"):
        await finder(provider)()


async def test_a_provider_that_was_cancelled_failed_and_one_who_asks_and_is_cancelled_is_cancelled():
    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled"):
        await finder(cancelled)()
    asking = asyncio.create_task(finder(lambda: asyncio.sleep(60))())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

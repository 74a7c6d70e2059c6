"""The one place that knows the credential: a publishable key, or the application's provider of tokens."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from metered_realtime.address import connect_url
from metered_realtime.options import TokenProviderFn


def url_finder(
    origin: str, api_key: str | None, provider: TokenProviderFn | None, timeout_s: float
) -> Callable[[], Awaitable[str]]:
    """Return the function that makes the URL of the next connection; a closure, so that no `repr` or `vars` shows it.

    It raises what the provider raises, TimeoutError after `timeout_s`, ValueError for what is not a token.
    """

    async def find() -> str:
        if provider is None:
            return connect_url(origin, api_key=api_key)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                answer = provider()
                token = await answer if inspect.isawaitable(answer) else answer
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"the token provider did not answer within {timeout_s:g} s") from None
            raise
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            raise RuntimeError("the token provider was cancelled") from None
        if not isinstance(token, str) or not token:
            raise ValueError("the token provider must return a non-empty string")
        return connect_url(origin, token=token)

    return find


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

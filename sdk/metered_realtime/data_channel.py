"""`DataChannel`: a WebRTC data channel whose `send` waits instead of filling memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from metered_realtime import events
from metered_realtime.emitter import Emitter
from metered_realtime.errors import DataChannelOverflowError, MeteredRealtimeError
from metered_realtime.logger import Logger, NoopLogger
from metered_realtime.scrub import scrubbed_error


class DataChannel(Emitter):
    """Wraps aiortc's channel, from `RemotePeer.create_data_channel` or `DataChannelOpened`.

    Emits `DCOpen` (not if it is open already), `DCClose`, `DCError`, `DCMessage`. `max_buffered_amount` and
    `buffered_amount_low_threshold` are bytes (default 1 MiB and half of it), `buffer_poll_interval` seconds.
    """

    def __init__(
        self,
        channel: Any,
        *,
        max_buffered_amount: int = 1_048_576,
        buffered_amount_low_threshold: int | None = None,
        max_queued_sends: int = 256,
        buffer_poll_interval: float = 0.1,
        logger: Logger | None = None,
    ) -> None:
        super().__init__(logger=logger)
        self._log = logger if logger is not None else NoopLogger()
        self._channel = channel
        self.label = str(channel.label)
        self._max_buffered = max_buffered_amount
        self._max_queued = max_queued_sends
        self._poll_s = buffer_poll_interval
        self._queued = 0
        self._is_closed = False
        self._order = asyncio.Lock()
        self._drained = asyncio.Event()
        low = buffered_amount_low_threshold
        channel.bufferedAmountLowThreshold = max_buffered_amount // 2 if low is None else low
        self._raw_handlers: dict[str, Callable[..., None]] = {
            "open": lambda: self.emit(events.DCOpen()),
            "close": self._on_close,
            "error": self._on_error,
            "message": self._on_message,
            "bufferedamountlow": self._drained.set,
        }
        for name, handler in self._raw_handlers.items():
            channel.on(name, handler)

    @property
    def ready_state(self) -> str:
        """`connecting`, `open`, `closing` or `closed`."""
        return str(self._channel.readyState)

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait to be sent."""
        return int(self._channel.bufferedAmount)

    async def send(self, data: str | bytes) -> None:
        """Send one message; messages leave in the order of the calls. Waits while the buffer is full.

        Raises DataChannelOverflowError when too many calls wait already, MeteredRealtimeError where the channel is not
        open or the message is larger than the whole buffer, TypeError for anything but str and bytes.
        """
        size = message_size(data, self._max_buffered)
        if self._queued >= self._max_queued:
            raise DataChannelOverflowError(self._queued, self._max_queued)
        self._check_open()
        self._queued += 1
        try:
            async with self._order:
                await self._wait_for_room(size)
                self._check_open()
                self._hand_over(data)
        finally:
            self._queued -= 1

    def _hand_over(self, data: str | bytes) -> None:
        try:
            self._channel.send(data)
        except ValueError as error:
            raise MeteredRealtimeError(str(error)) from None  # larger than the other side can take

    async def _wait_for_room(self, size: int) -> None:
        while self.buffered_amount + size > self._max_buffered and self.ready_state == "open" and not self._is_closed:
            self._drained.clear()
            try:
                # aiortc tells only when the amount falls through the threshold, which may have happened already.
                async with asyncio.timeout(self._poll_s):
                    await self._drained.wait()
            except TimeoutError:
                continue

    def _check_open(self) -> None:
        if self._is_closed or self.ready_state != "open":
            state = "closed" if self._is_closed else self.ready_state
            raise MeteredRealtimeError(f"the data channel {self.label!r} is not open but {state}")

    def close(self) -> None:
        """Close the channel; waiting sends fail. May be called again."""
        if self._is_closed:
            return
        self.detach()
        if self.ready_state != "closed":
            self._channel.close()

    def detach(self) -> None:
        """Let go of a channel whose connection is gone: waiting sends fail, nothing is heard or sent any more."""
        if not self._is_closed:
            self._let_go()
            self._drop_listeners()

    def _let_go(self) -> None:
        self._is_closed = True
        self._drained.set()
        for name, handler in self._raw_handlers.items():
            if handler in self._channel.listeners(name):
                self._channel.remove_listener(name, handler)

    def _on_close(self) -> None:
        if not self._is_closed:
            self._let_go()
            self.emit(events.DCClose())
            self._drop_listeners()

    def _on_error(self, error: Any = None) -> None:
        known = error if isinstance(error, Exception) else MeteredRealtimeError(str(error))
        self.emit(events.DCError(scrubbed_error(known)))

    def _on_message(self, data: Any) -> None:
        if isinstance(data, str | bytes):
            self.emit(events.DCMessage(data))


def message_size(data: str | bytes, max_bytes: int) -> int:
    """Return the bytes a message takes. Raises TypeError for other types, MeteredRealtimeError above `max_bytes`."""
    if not isinstance(data, str | bytes):
        raise TypeError(f"a data channel carries str or bytes, not {type(data).__name__}")
    size = len(data.encode()) if isinstance(data, str) else len(data)
    if size > max_bytes:
        raise MeteredRealtimeError(
            f"a message of {size} bytes cannot be sent: max_buffered_amount is {max_bytes}; split it"
        )
    return size

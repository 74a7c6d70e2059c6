"""`ReopeningDataChannel`: a data channel to a peer that outlives its connections. `channel_reopening` decides."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from metered_realtime import events
from metered_realtime.channel_reopening import Action, Became, ChannelReopening, ChannelState, LetGo, Open
from metered_realtime.data_channel import DataChannel, message_size
from metered_realtime.emitter import Emitter
from metered_realtime.errors import DataChannelOverflowError, MeteredRealtimeError
from metered_realtime.json_messages import JsonMessages
from metered_realtime.json_text import dumps
from metered_realtime.logger import Logger
from metered_realtime.options import PeerConnectionState
from metered_realtime.scrub import scrubbed_error

MAX_QUEUED_BYTES = 4 * 1024 * 1024


class Remote(Protocol):
    """What is needed of a `RemotePeer`."""

    id: str

    @property
    def state(self) -> PeerConnectionState: ...
    @property
    def polite(self) -> bool: ...
    def create_data_channel(self, label: str, **kwargs: Any) -> Any: ...
    def on(self, event_type: Any, handler: Any) -> Any: ...
    def off(self, event_type: Any, handler: Any) -> None: ...


class ReopeningDataChannel(Emitter):
    """A data channel named `label` for as long as the peer is a member: opened again after every loss.

    This side opens it, or with `accept=True` takes the one of that label which the other side opens (make it in the
    handler of `PeerJoined`, so as to miss none). Where both sides open one, they settle on that of the impolite side.

    Emits `DCOpen` each time it is open, `DCMessage`, `DCError`, `StateChange` between `connecting`, `open` and
    `closed`, and `DCClose` once, when the peer has left. A message is handed to one channel, once: if that breaks, what
    was in flight may have arrived or not, and is not repeated. What still waits in `send` goes to the next channel.

    Keywords beyond those named are those of `RemotePeer.create_data_channel`; sizes are bytes. Raises
    MeteredRealtimeError where the peer has left, and what aiortc raises for keywords that cannot work.
    """

    def __init__(
        self,
        remote: Remote,
        label: str,
        *,
        accept: bool = False,
        max_buffered_amount: int = 1_048_576,
        max_queued_sends: int = 256,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        logger: Logger | None = None,
        **parameters: Any,
    ) -> None:
        super().__init__(logger=logger)
        if remote.state == "closed":
            raise MeteredRealtimeError(f"peer {remote.id} has left")
        self.label = label
        self._remote = remote
        self._logger = logger
        self._parameters = parameters
        self._max_buffered = max_buffered_amount
        self._max_queued = max_queued_sends
        self._max_queued_bytes = max_queued_bytes
        self._queued = self._queued_bytes = 0
        self._core = ChannelReopening(opens=not accept)
        self._channels: dict[int, DataChannel] = {}
        self._json: list[JsonMessages] = []
        self._order = asyncio.Lock()
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._remote_handlers = (
            (events.StateChange, self._on_remote_state),
            (events.ConnectionReset, lambda _: self._carry_out(self._core.reset())),
            (events.DataChannelOpened, self._on_offered),
        )
        for action in self._core.start():
            if isinstance(action, Open):
                self._adopt_own(action.number, remote.create_data_channel(label, **parameters))
        for event_type, handler in self._remote_handlers:
            remote.on(event_type, handler)

    def __repr__(self) -> str:
        return f"ReopeningDataChannel({self.label!r}, {self.state})"

    # State -------------------------------------------------------------------------------------------

    @property
    def state(self) -> ChannelState:
        """`connecting`, `open`, or `closed` for good."""
        return self._core.state

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait to be sent: handed over to the present channel, or before that."""
        channel = self._current()
        return self._queued_bytes + (channel.buffered_amount if channel is not None else 0)

    async def opened(self, timeout: float | None = None) -> None:
        """Return when the channel is open.

        Raises TimeoutError after `timeout` seconds, MeteredRealtimeError where it is closed for good.
        """
        async with asyncio.timeout(timeout):
            await self._open_channel()

    # Sending -----------------------------------------------------------------------------------------

    async def send(self, data: str | bytes) -> None:
        """Send one message, in the order of the calls; waits until the channel is open and its buffer has room.

        Raises DataChannelOverflowError when too much waits already, MeteredRealtimeError where the channel is closed
        for good or the message is larger than its buffer or the other side's limit, TypeError for anything but str and
        bytes.
        """
        size = message_size(data, self._max_buffered)
        if self._queued >= self._max_queued:
            raise DataChannelOverflowError(self._queued, self._max_queued)
        if self._queued_bytes + size > self._max_queued_bytes:
            raise DataChannelOverflowError(self._queued_bytes, self._max_queued_bytes, unit="bytes")
        self._queued += 1
        self._queued_bytes += size
        try:
            async with self._order:
                await self._send_in_turn(data)
        finally:
            self._queued -= 1
            self._queued_bytes -= size

    async def _send_in_turn(self, data: str | bytes) -> None:
        while True:
            channel = await self._open_channel()
            try:
                await channel.send(data)
            except MeteredRealtimeError:
                if channel is self._current():
                    if channel.ready_state == "open":
                        raise  # it is the message that cannot be sent, not the channel
                    await self._next_change()
            else:
                return

    async def _open_channel(self) -> DataChannel:
        while True:
            channel = self._current()
            if channel is not None:
                return channel
            if self.state == "closed":
                raise MeteredRealtimeError(f"the data channel {self.label!r} is closed")
            await self._next_change()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _current(self) -> DataChannel | None:
        return self._channels.get(self._core.current or 0) if self.state == "open" else None

    # JSON --------------------------------------------------------------------------------------------

    async def send_json(self, value: Any) -> None:
        """Send a JSON value as text. Raises as `send`, ValueError or TypeError for what is not JSON."""
        await self.send(dumps(value))

    def json_messages(self, *, maxsize: int = 1024, max_bytes: int = MAX_QUEUED_BYTES) -> JsonMessages:
        """Return the values of the messages from now on, as an asynchronous iterator that ends with the channel.

        When more than `maxsize` messages or `max_bytes` wait, the oldest are dropped and counted in its `dropped`. What
        is not JSON is told as `DCError` with a NotJsonError.
        """
        messages = JsonMessages(
            maxsize=maxsize,
            max_bytes=max_bytes,
            on_error=lambda error: self.emit(events.DCError(error)),
            on_close=self._json.remove,
        )
        self._json.append(messages)
        if self.state == "closed":
            messages.close()
        return messages

    # End ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the channel for good; waiting sends fail. May be called again."""
        self._end(is_dead=False)

    def _end(self, *, is_dead: bool) -> None:
        if self.state == "closed":
            return
        for event_type, handler in self._remote_handlers:
            self._remote.off(event_type, handler)
        self._carry_out(self._core.end(is_dead=is_dead))
        if is_dead:
            self.emit(events.DCClose())
        for messages in tuple(self._json):
            messages.close()
        self._retire_listeners()

    # Shell of the core -------------------------------------------------------------------------------

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Open():
                    self._open(action.number)
                case LetGo():
                    channel = self._channels.pop(action.number, None)
                    if channel is not None:
                        (channel.detach if action.is_dead else channel.close)()
                case Became():
                    self._became(action.before, action.state)
        self._arm_timer()

    def _open(self, number: int) -> None:
        if number != self._core.current:
            return  # a handler has closed us meanwhile
        try:
            channel = self._remote.create_data_channel(self.label, **self._parameters)
        except Exception as error:  # noqa: BLE001 - aiortc's own, of a connection that is about to be replaced; told
            self.emit(events.DCError(scrubbed_error(error)))
            self._carry_out(self._core.closed(number, self._now_s()))
            return
        self._adopt_own(number, channel)

    def _adopt_own(self, number: int, raw: Any) -> None:
        self._adopt(number, raw)
        if raw.readyState == "open":  # one that both sides have agreed on beforehand is open at once
            self._carry_out(self._core.opened(number, self._now_s()))

    def _adopt(self, number: int, raw: Any) -> None:
        channel = DataChannel(raw, max_buffered_amount=self._max_buffered, logger=self._logger)
        self._channels[number] = channel
        channel.on(events.DCOpen, lambda _: self._carry_out(self._core.opened(number, self._now_s())))
        channel.on(events.DCClose, lambda _: self._on_closed(number))
        channel.on(events.DCMessage, self._on_message)
        channel.on(events.DCError, self.emit)

    def _on_closed(self, number: int) -> None:
        self._channels.pop(number, None)
        self._carry_out(self._core.closed(number, self._now_s()))

    def _on_offered(self, event: events.DataChannelOpened) -> None:
        if event.channel.label != self.label or self.state == "closed":
            return
        number, actions = self._core.offered(self._now_s(), polite=self._remote.polite)
        self._adopt(number, event.channel)
        self._carry_out(actions)

    def _on_remote_state(self, event: events.StateChange) -> None:
        if event.to == "closed":
            self._end(is_dead=True)

    def _on_message(self, event: events.DCMessage) -> None:
        for messages in tuple(self._json):
            messages.push(event.data)
        self.emit(event)

    def _became(self, before: ChannelState, state: ChannelState) -> None:
        self._changed.set()
        self.emit(events.StateChange(before, state))
        if state == "open":
            self.emit(events.DCOpen())

    def _arm_timer(self) -> None:
        due_s = self._core.next_timer()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due_s is None else asyncio.get_running_loop().call_at(due_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._carry_out(self._core.tick(self._now_s()))

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

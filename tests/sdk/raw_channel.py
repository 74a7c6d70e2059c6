"""Stands for aiortc's data channel, and for the peer that has it."""

from __future__ import annotations

from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

from metered_realtime import events
from metered_realtime.emitter import Emitter


class Raw(AsyncIOEventEmitter):
    """Stands for aiortc's channel; what is sent stays in its buffer until it is drained."""

    def __init__(self, state: str = "open", label: str = "raw") -> None:
        super().__init__()
        self.label = label
        self.readyState = state
        self.bufferedAmount = 0
        self.bufferedAmountLowThreshold = 0
        self.sent: list[Any] = []

    def send(self, data: Any) -> None:
        self.sent.append(data)
        self.bufferedAmount += len(data)

    def drain(self, *, quietly: bool = False) -> None:
        self.bufferedAmount = 0
        if not quietly:
            self.emit("bufferedamountlow")

    def open(self) -> None:
        self.readyState = "open"
        self.emit("open")

    def close(self) -> None:
        self.readyState = "closed"
        self.emit("close")


class FakeRemote(Emitter):
    """Stands for a RemotePeer; channels are opened by `Raw.open`."""

    def __init__(self, *, polite: bool = True) -> None:
        super().__init__()
        self.id = "peer"
        self.state = "connected"
        self.polite = polite
        self.channels: list[Raw] = []
        self.parameters: list[dict[str, Any]] = []
        self.initial_state = "connecting"
        self.trouble: Exception | None = None

    def create_data_channel(self, label: str, **parameters: Any) -> Raw:
        if self.trouble is not None:
            raise self.trouble
        self.parameters.append(parameters)
        self.channels.append(Raw(self.initial_state, label))
        return self.channels[-1]

    def offer(self, label: str) -> Raw:
        raw = Raw("open", label)
        self.emit(events.DataChannelOpened(raw))
        return raw

    def reset(self) -> None:
        self.emit(events.ConnectionReset())

    def leave(self) -> None:
        before, self.state = self.state, "closed"
        self.emit(events.StateChange(before, "closed"))

"""The message half of `MeteredPeer`: what is said to all members or to one, and what they say."""

from __future__ import annotations

from typing import Any

from metered_realtime import errors, events, wire
from metered_realtime.emitter import Emitter
from metered_realtime.logger import Logger, NoopLogger
from metered_realtime.membership import Membership
from metered_realtime.options import MeteredPeerState
from metered_realtime.signalling import SignallingClient


class Messenger(Emitter):
    """A member's calls for messages. The state, the members and the client are kept by `MeteredPeer`."""

    _state: MeteredPeerState
    _channel: str | None
    _members: Membership
    _client: SignallingClient

    def __init__(self, *, logger: Logger | None) -> None:
        super().__init__(logger=logger)
        self._log: Logger = logger if logger is not None else NoopLogger()

    async def send(self, data: Any) -> None:
        """Send any JSON value to every other member.

        Raises MeteredPeerSendError (`not_joined`), MeteredPeerOversizedError, and as `SignallingClient.publish`.
        """
        if self._state != "joined" or self._channel is None:
            raise errors.MeteredPeerSendError("not_joined", f"send: not possible in state {self._state}; join first")
        self._check_size(data)
        await self._client.publish(self._channel, data)

    async def send_to(self, peer_id: str, data: Any) -> None:
        """Send any JSON value to one member. Raises as `send`, and MeteredPeerSendError `invalid_args`, `self_send`."""
        if self._state != "joined":
            sentence = f"send_to: not possible in state {self._state}; join first"
            raise errors.MeteredPeerSendError("not_joined", sentence)
        try:
            wire.check_peer_id(peer_id)
        except (TypeError, ValueError) as error:
            raise errors.MeteredPeerSendError("invalid_args", f"send_to: {error}") from None
        if peer_id == self._members.own_id:
            raise errors.MeteredPeerSendError("self_send", "send_to: that is our own peer id")
        if wire.parse_envelope(data) is not None:
            self._log.warning("send_to: the receiver will take this for signalling, not for data", {"to": peer_id})
        self._check_size(data)
        await self._client.send(peer_id, data)

    def _check_size(self, data: Any) -> None:
        size = wire.json_size(data)
        if size > self._client.max_message_size:
            raise errors.MeteredPeerOversizedError(size, self._client.max_message_size)

    def _on_direct(self, event: events.Direct) -> None:
        link = self._members.get(event.sender_peer_id)
        if link is None:
            self._log.debug("a message of somebody who is not a member was ignored", {"from": event.sender_peer_id})
            return
        envelope = wire.parse_envelope(event.data)
        if envelope is not None:
            link.receive(envelope)
        else:
            self.emit(events.Data(event.sender_peer_id, event.data, "direct", event.sender_metadata))

    def _on_message(self, event: events.Message) -> None:
        if event.channel == self._channel and event.sender_peer_id != self._members.own_id:
            self.emit(events.Data(event.sender_peer_id, event.data, "broadcast", event.sender_metadata))

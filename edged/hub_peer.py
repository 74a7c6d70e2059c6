"""A peer of the hub whose first connection fails with our sentence."""

from __future__ import annotations

from typing import Any

from edged.hub_link import HubConnectError
from metered_realtime import MediaDirections, MeteredPeer, SignallingConnectError


class HubPeer(MeteredPeer):
    """As `MeteredPeer`, but `join` raises HubConnectError where the hub cannot be reached or refuses us."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url=url, **options)
        self._hub_url = url

    async def join(
        self, channel: str, *, include_sender_metadata: bool = False, media: MediaDirections = "both"
    ) -> None:
        """Join a channel; raises HubConnectError instead of SignallingConnectError."""
        try:
            await super().join(channel, include_sender_metadata=include_sender_metadata, media=media)
        except SignallingConnectError as err:
            raise HubConnectError(self._hub_url, err) from err

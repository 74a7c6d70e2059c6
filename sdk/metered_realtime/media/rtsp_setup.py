"""The way RTP takes from a camera to us, agreed on track by track: inside the TCP connection, or over UDP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from metered_realtime.media.rtsp_dialogue import RtspDialogue
from metered_realtime.media.rtsp_errors import RtspConnectError, RtspTransportError
from metered_realtime.media.rtsp_handshake import agreed_channels, agreed_udp, refusal
from metered_realtime.media.rtsp_message import RtspResponse
from metered_realtime.media.rtsp_udp import UdpTrack, bare_host
from metered_realtime.media.rtsp_url import RtspUrl

RtspTransport = Literal["auto", "tcp", "udp"]
RTSP_TRANSPORTS: tuple[RtspTransport, ...] = ("auto", "tcp", "udp")

# What cameras without RTP over TCP answer: "unsupported transport", or that they do not understand.
_ANOTHER_TRANSPORT = frozenset({400, 461})


class RtspPaths:
    """Sets tracks up over one dialogue; `on_packet(kind, data)` gets their RTP packets, over UDP put in order, and
    `on_report(kind, data)` their RTCP.

    "auto" is TCP, and UDP where the camera refuses that; on a TLS connection nothing ever leaves it.
    """

    def __init__(
        self,
        dialogue: RtspDialogue,
        url: RtspUrl,
        *,
        transport: RtspTransport,
        on_packet: Callable[[str, bytes], None],
        on_report: Callable[[str, bytes], None],
    ) -> None:
        self._dialogue = dialogue
        self._url = url
        self._on_packet = on_packet
        self._on_report = on_report
        self._ways = {"auto": ("tcp", "udp"), "tcp": ("tcp",), "udp": ("udp",)}[transport]
        if url.scheme == "rtsps":
            self._ways = ("tcp",)
        self._channels: dict[int, str] = {}
        self._report_channels: dict[int, str] = {}
        self._next_channel = 0
        self._udp: list[UdpTrack] = []

    @property
    def transport(self) -> str:
        """What is in use: "tcp" or "udp"."""
        return self._ways[0]

    async def set_up(self, kind: str, control_url: str) -> RtspResponse:
        """Ask for one track, and return the answer. The first track settles the transport. Raises RtspError."""
        tried = " or ".join(way.upper() for way in self._ways)
        while True:
            ask = self._set_up_tcp if self._ways[0] == "tcp" else self._set_up_udp
            response = await ask(kind, control_url)
            if response.status not in _ANOTHER_TRANSPORT or len(self._ways) == 1:
                break
            self._ways = self._ways[1:]
        error = refusal("SETUP", response, self._url, transport=tried)
        if error is not None:
            raise error
        self._ways = self._ways[:1]
        return response

    def take_frame(self, channel: int, payload: bytes) -> None:
        """Take one interleaved frame."""
        kind = self._channels.get(channel)
        if kind is not None:
            self._on_packet(kind, payload)
        elif (reported := self._report_channels.get(channel)) is not None:
            self._on_report(reported, payload)

    def close(self) -> None:
        """Give back what was opened."""
        self._channels.clear()
        self._report_channels.clear()
        for track in self._udp:
            track.close()
        self._udp.clear()

    async def _set_up_tcp(self, kind: str, control_url: str) -> RtspResponse:
        pair = (self._next_channel, self._next_channel + 1)
        offer = f"RTP/AVP/TCP;unicast;interleaved={pair[0]}-{pair[1]}"
        response = await self._dialogue.request("SETUP", control_url, {"Transport": offer})
        if response.status < 300:
            channel, reports = agreed_channels(response, self._url, pair)
            if channel in self._channels:
                raise RtspTransportError(f"the camera at {self._url.address} sends two tracks on one channel")
            self._channels[channel] = self._report_channels[reports] = kind
            self._next_channel += 2
        return response

    async def _set_up_udp(self, kind: str, control_url: str) -> RtspResponse:
        here, there = self._dialogue.hosts
        track = UdpTrack(lambda data: self._on_packet(kind, data), lambda data: self._on_report(kind, data))
        try:
            await track.open(here)
        except OSError as error:
            track.close()
            raise RtspConnectError(f"no UDP port for the camera at {self._url.address}: {error.strerror}") from error
        self._udp.append(track)
        # Not RTP/AVP/UDP, which means the same and which some servers do not know (RFC 2326 section 12.39).
        offer = f"RTP/AVP;unicast;client_port={track.ports[0]}-{track.ports[1]}"
        response = await self._dialogue.request("SETUP", control_url, {"Transport": offer})
        if response.status < 300:
            try:
                path = agreed_udp(response, self._url)
            except RtspTransportError:
                self._forget(track)
                raise
            hosts = {bare_host(there)} | ({bare_host(path.source)} if path.source else set())
            track.listen(frozenset(hosts), path.server_ports)
        else:
            self._forget(track)
        return response

    def _forget(self, track: UdpTrack) -> None:
        self._udp.remove(track)
        track.close()

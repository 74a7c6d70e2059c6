"""Where encrypted packets leave: many in one system call where kernel and path allow it, one by one elsewhere.

UDP segmentation offload (Linux 4.18, `UDP_SEGMENT`) takes a run of equal packets in one `sendmsg`; measured, that is
the largest saving there is in sending video. A kernel or device that cannot answers with EIO or EINVAL, and the path
goes on without.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, Protocol

from metered_realtime.media.rtp_image import Run

_SOL_UDP = socket.IPPROTO_UDP
_UDP_SEGMENT = 103  # linux/udp.h
_NO_OFFLOAD = (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP)
_FULL = (errno.EAGAIN, errno.ENOBUFS)


class MediaPath(Protocol):
    """What a sender of packets sends through."""

    def send_run(self, view: memoryview, run: Run) -> bool:
        """Send the packets of the run, which lie in `view`. False: none was sent, the path is full for the moment."""

    def send_one(self, packet: bytes) -> bool:
        """Send a packet. False: it was not sent."""


class UdpPath:
    """A UDP socket that is not ours to close, and the other side's address. `offload` tells whether runs are used."""

    __slots__ = ("_address", "_sendmsg", "_sock", "offload", "refused")

    def __init__(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        self._sock = sock
        self._sendmsg = sock.sendmsg
        self._address = address
        self.offload = True
        self.refused = 0
        """Packets the kernel did not take, other than for want of room."""

    def send_run(self, view: memoryview, run: Run) -> bool:
        """Send the packets of the run, in one call where possible."""
        if run.packets > 1 and self.offload:
            try:
                self._sendmsg((view[run.start : run.end],), ((_SOL_UDP, _UDP_SEGMENT, run.segment),), 0, self._address)
            except OSError as error:
                if error.errno in _FULL:
                    return False
                # EMSGSIZE: the packets do not fit the interface as they are; fragmented, they still arrive.
                if error.errno not in (*_NO_OFFLOAD, errno.EMSGSIZE):
                    self.refused += run.packets
                    return True
                self.offload = False
            else:
                return True
        return self._send_each(view, run)

    def _send_each(self, view: memoryview, run: Run) -> bool:
        for start in range(run.start, run.end, run.packet_bytes):
            if not self.send_one(view[start : min(start + run.packet_bytes, run.end)]) and start == run.start:
                return False  # a run that was begun is not sent twice: what does not fit now is lost
        return True

    def send_one(self, packet: bytes | memoryview) -> bool:
        """Send one packet; an unreachable other side is not told from one that listens."""
        try:
            self._sock.sendto(packet, self._address)
        except OSError as error:
            if error.errno in _FULL:
                return False
            self.refused += 1
        return True


class RelayPath:
    """Packet by packet through whatever carries the connection: a TURN server, over UDP or TCP."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def send_run(self, view: memoryview, run: Run) -> bool:
        """Send the packets of the run."""
        for start in range(run.start, run.end, run.packet_bytes):
            self._send(bytes(view[start : min(start + run.packet_bytes, run.end)]))
        return True

    def send_one(self, packet: bytes) -> bool:
        """Send one packet."""
        self._send(packet)
        return True

"""One TCP connection to a camera: requests and their answers, the camera's own requests, and frames handed on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import cast

from metered_realtime.media.rtsp_errors import RtspConnectError, RtspError, RtspProtocolError
from metered_realtime.media.rtsp_message import (
    Interleaved,
    RtspFormatError,
    RtspParser,
    RtspRequest,
    RtspResponse,
    encode_request,
    encode_response,
)

_log = logging.getLogger(__name__)

_MAX_PENDING = 8
_MAX_UNSENT_BYTES = 64 * 1024
# Between two requests of ours, the last of which keeps the session alive. Cameras ask something now and then, too.
_MAX_UNASKED = 1000
_ANSWERED = frozenset({"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "PLAY_NOTIFY", "TEARDOWN", "REDIRECT"})
_ENDING = frozenset({"TEARDOWN", "REDIRECT"})


class RtspConnection(asyncio.Protocol):
    """Used once. `on_frame(channel, payload)` is called for each interleaved frame, `on_end(error)` at most once."""

    def __init__(
        self, address: str, *, on_frame: Callable[[int, bytes], None], on_end: Callable[[RtspError], None]
    ) -> None:
        self._address = address
        self._on_frame = on_frame
        self._on_end = on_end
        self._parser = RtspParser()
        self._transport: asyncio.Transport | None = None
        self._pending: dict[int, asyncio.Future[RtspResponse]] = {}
        self._cseq = 0
        self._unasked = 0
        self._speaks_rtsp = False
        self._error: RtspError | None = None
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def hosts(self) -> tuple[str, str]:
        """Addresses of this machine and of the camera; empty where there is no connection."""
        if self._transport is None:
            return "", ""
        here, there = (self._transport.get_extra_info(name) for name in ("sockname", "peername"))
        return str(here[0]) if here else "", str(there[0]) if there else ""

    async def request(
        self, method: str, uri: str, headers: Mapping[str, str], *, timeout_s: float | None = None
    ) -> RtspResponse:
        """Send a request and wait for its answer. Raises RtspError, and TimeoutError."""
        if self._error is not None:
            raise self._error
        if self._transport is None or len(self._pending) >= _MAX_PENDING:
            raise RtspProtocolError(f"the camera at {self._address} leaves too many requests without an answer")
        self._unasked = 0
        self._cseq += 1
        cseq = self._cseq
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[RtspResponse] = loop.create_future()
        self._pending[cseq] = answer
        # Not `wait_for`: in Python 3.11 it forgets a cancellation that meets the answer; whoever cancelled waits on.
        timer = None if timeout_s is None else loop.call_later(timeout_s, _too_late, answer)
        try:
            self._transport.write(encode_request(method, uri, cseq, headers))
            return await answer
        except ValueError as error:
            raise RtspProtocolError(f"the camera at {self._address} gave an address that cannot be used") from error
        finally:
            if timer is not None:
                timer.cancel()
            self._pending.pop(cseq, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # who was cancelled does not look at it

    async def close(self, *, within_s: float) -> None:
        """Close and wait until it is closed; what cannot be sent by then is dropped."""
        self._end(RtspConnectError(f"the connection to the camera at {self._address} is closed"), tell=False)
        if self._transport is None:
            return
        self._transport.close()
        # Not `wait_for`, as above.
        await asyncio.wait([self._gone], timeout=within_s)
        if not self._gone.done():
            self._transport.abort()
            await asyncio.wait([self._gone])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        try:
            items = self._parser.receive_data(data)
        except RtspFormatError as error:
            self._fail(RtspProtocolError(f"what answers at {self._address} is not an RTSP camera: {error}"))
            return
        self._speaks_rtsp |= bool(items)
        for item in items:
            if isinstance(item, Interleaved):
                self._on_frame(item.channel, item.payload)
            elif not self._take_message(item):
                return

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        why = "broke off" if exc is not None else "ended"
        hint = "" if self._speaks_rtsp else " without an answer: is this its RTSP port?"
        self._end(RtspConnectError(f"the camera at {self._address} {why} the connection{hint}"), tell=True)
        self._gone.set_result(None)

    def _take_message(self, message: RtspResponse | RtspRequest) -> bool:
        """Take what is no frame; False where nothing more is taken."""
        self._unasked += 1
        if isinstance(message, RtspResponse):
            self._take_answer(message)
        else:
            self._answer(message)
        if self._unasked > _MAX_UNASKED:
            self._fail(RtspProtocolError(f"the camera at {self._address} talks without being asked"))
        return self._error is None

    def _take_answer(self, response: RtspResponse) -> None:
        self._acknowledge_now()
        cseq = response.cseq
        if cseq not in self._pending and len(self._pending) == 1:
            cseq = next(iter(self._pending))  # some cameras forget the CSeq, or always write the same
        answer = None if cseq is None else self._pending.get(cseq)
        if answer is not None and not answer.done():
            answer.set_result(response)

    def _acknowledge_now(self) -> None:
        """A camera whose kernel waits for our acknowledgement before it sends more would start 40 ms late."""
        quick = getattr(socket, "TCP_QUICKACK", None)
        raw = None if self._transport is None else self._transport.get_extra_info("socket")
        if quick is not None and raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, quick, 1)

    def _answer(self, request: RtspRequest) -> None:
        _log.debug("the camera at %s asks %s", self._address, request.method[:32])
        status, reason = (200, "OK") if request.method in _ANSWERED else (501, "Not Implemented")
        session = request.headers.get("session")
        assert self._transport is not None
        self._transport.write(
            encode_response(status, reason, request.cseq, {"Session": session} if session else {}),
        )
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self._fail(RtspProtocolError(f"the camera at {self._address} asks without reading the answers"))
        elif request.method in _ENDING:
            self._fail(RtspConnectError(f"the camera at {self._address} ended the stream"))

    def _fail(self, error: RtspError) -> None:
        self._end(error, tell=True)
        if self._transport is not None:
            self._transport.abort()

    def _end(self, error: RtspError, *, tell: bool) -> None:
        if self._error is not None:
            return
        self._error = error
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(error)
        if tell:
            self._on_end(error)


def _too_late(answer: asyncio.Future[RtspResponse]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())

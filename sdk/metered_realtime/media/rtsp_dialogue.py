"""Requests to one camera with their answers, login and time limit; the session's name once there is one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping

from metered_realtime.media.rtsp_auth import Authenticator
from metered_realtime.media.rtsp_connection import RtspConnection
from metered_realtime.media.rtsp_errors import RtspAuthError, RtspConnectError, RtspError, RtspTimeoutError
from metered_realtime.media.rtsp_message import RtspResponse
from metered_realtime.media.rtsp_url import RtspUrl

_USER_AGENT = "metered-realtime"
_MAX_LOGIN_ROUNDS = 3


class RtspDialogue:
    """One connection's worth of talk. `session` is sent with every request as soon as it is set."""

    def __init__(self, url: RtspUrl, *, login: Authenticator | None, timeout_s: float) -> None:
        self.session = ""
        self._url = url
        self._login = login
        self._timeout_s = timeout_s
        self._connection: RtspConnection | None = None

    async def connect(
        self,
        *,
        on_frame: Callable[[int, bytes], None],
        on_end: Callable[[RtspError], None],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        """Open the TCP (for rtsps:// the TLS) connection. Raises RtspConnectError and RtspTimeoutError."""
        url = self._url
        secure = (ssl_context or ssl.create_default_context()) if url.scheme == "rtsps" else None

        def new_connection() -> RtspConnection:
            return RtspConnection(url.address, on_frame=on_frame, on_end=on_end)

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                _, self._connection = await loop.create_connection(new_connection, url.host, url.port, ssl=secure)
        except TimeoutError:
            raise RtspTimeoutError(
                f"no connection to the camera at {url.address} within {self._timeout_s:g} s: is it switched on?"
            ) from None
        except OSError as error:
            raise RtspConnectError(_sentence(url, error)) from error

    @property
    def hosts(self) -> tuple[str, str]:
        """Addresses of this machine and of the camera on the connection; two empty texts where it is gone."""
        return ("", "") if self._connection is None else self._connection.hosts

    async def request(self, method: str, uri: str, headers: Mapping[str, str] | None = None) -> RtspResponse:
        """Send a request and return its answer, logged in where the camera asks for it. Raises RtspError."""
        for _ in range(_MAX_LOGIN_ROUNDS):
            response = await self._exchange(method, uri, dict(headers or {}))
            if response.status != 401:
                if self._login is not None:
                    self._login.accepted()
                return response
            if self._login is None:
                raise RtspAuthError(
                    f"the camera at {self._url.address} wants a login, and none was given", login_given=False
                )
            if not self._login.challenge(response.headers.all("www-authenticate")):
                break
        raise RtspAuthError(f"the camera at {self._url.address} refused the login", login_given=True)

    async def close(self, *, within_s: float) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close(within_s=within_s)
            self._connection = None

    async def _exchange(self, method: str, uri: str, headers: dict[str, str]) -> RtspResponse:
        if self._connection is None:
            raise RtspConnectError(f"there is no connection to the camera at {self._url.address}")
        headers["User-Agent"] = _USER_AGENT
        if self.session:
            headers["Session"] = self.session
        if self._login is not None and (authorization := self._login.authorization(method, uri)):
            headers["Authorization"] = authorization
        try:
            return await self._connection.request(method, uri, headers, timeout_s=self._timeout_s)
        except TimeoutError:
            raise RtspTimeoutError(
                f"the camera at {self._url.address} did not answer {method} within {self._timeout_s:g} s"
            ) from None


def _sentence(url: RtspUrl, error: OSError) -> str:
    where = f"the camera at {url.address}"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections: is the port right, and RTSP switched on?"
    if isinstance(error, socket.gaierror):
        return f"the host name of {where} is not known: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "make this machine trust it, or write rtsp:// for a connection that is not encrypted"
        return f"the certificate of {where} is not accepted ({error.verify_message}): {remedy}"
    if isinstance(error, ssl.SSLError | ConnectionError) and url.scheme == "rtsps":
        reason = getattr(error, "reason", None) or error.strerror or "the connection ended"
        return f"TLS with {where} failed ({reason}): is this its port for TLS? without TLS it is rtsp://"
    return f"no connection to {where}: {error.strerror or error}"

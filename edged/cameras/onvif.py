"""A camera asked by ONVIF for a key frame: one small HTTP request at a time, bounded in size and time."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from edged.cameras import onvif_messages as onvif
from edged.cameras.http_answer import HttpAnswer, HttpError, post, read_answer
from edged.cameras.xml_elements import Element, XmlError, read_xml
from edged.errors import EdgedError
from metered_realtime.media.rtsp_auth import Authenticator, parse_challenges

TIMEOUT_S = 5.0
_READ_BYTES = 16 * 1024
_PORTS = {"http": 80, "https": 443}


Trouble = Literal["unreachable", "refused", "login", "profile"]


class OnvifError(EdgedError):
    """The camera cannot be asked, or refused: `trouble` says what kind of no it was."""

    def __init__(self, sentence: str, trouble: Trouble = "refused") -> None:
        super().__init__(sentence)
        self.trouble = trouble

    @property
    def is_refusal(self) -> bool:
        """Whether somebody has to change a setting before it helps to ask again."""
        return self.trouble != "unreachable"


@dataclass(frozen=True, slots=True)
class OnvifAddress:
    """Where the service is. Whatever a camera answers, nothing is sent to another host."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, setting: str, host: str) -> OnvifAddress:
        """Read `onvif` of the settings; "auto" is where the standard has it, on the host of the pictures."""
        if setting == "auto":
            return cls("http", host, 80, onvif.DEVICE_PATH)
        parts = urlsplit(setting)
        return cls(
            parts.scheme,
            parts.hostname or host,
            parts.port or _PORTS[parts.scheme],
            parts.path if parts.path.strip("/") else onvif.DEVICE_PATH,
        )

    @property
    def shown(self) -> str:
        """Host and port for people and for the Host header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class OnvifCamera:
    """Not used by two at the same time. What it learned - clock, path, profile - lasts until `forget()`."""

    def __init__(
        self,
        address: OnvifAddress,
        *,
        username: str,
        password: str,
        ssl_context: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
        wall_s: Callable[[], float] = time.time,
        new_nonce: Callable[[], bytes] = lambda: os.urandom(16),
    ) -> None:
        self.address = address
        self.profile: onvif.Profile | None = None
        self._username = username
        self._password = password
        self._ssl_context = ssl_context
        self._timeout_s = timeout_s
        self._wall_s = wall_s
        self._new_nonce = new_nonce
        self._clock_offset_s = 0.0
        self._media_path = address.path
        self._http_login: Authenticator | None = None

    def forget(self) -> None:
        """Learn everything anew before the next asking."""
        self.profile = None
        self._http_login = None

    async def learn(self, size: tuple[int, int] | None) -> None:
        """Find the profile of the stream that has this size. Raises OnvifError."""
        try:
            told_s = onvif.camera_time_s(await self._call(self.address.path, onvif.GET_TIME, with_login=False))
            self._clock_offset_s = 0.0 if told_s is None else told_s - self._wall_s()
        except OnvifError as error:
            if error.trouble == "unreachable":
                raise
            # Without its clock the login is dated by ours.
        self._media_path = self.address.path
        try:
            found = onvif.media_path(await self._call(self.address.path, onvif.GET_MEDIA_SERVICE))
            self._media_path = found or self.address.path
        except OnvifError as error:
            if error.trouble in ("unreachable", "login"):
                raise
            # The address may be that of the media service itself, which knows no capabilities.
        known = onvif.profiles(await self._call(self._media_path, onvif.GET_PROFILES))
        self.profile = onvif.choose_profile(known, size)
        if self.profile is None:
            raise OnvifError("it has no media profile")

    async def set_synchronization_point(self, size: tuple[int, int] | None) -> None:
        """Ask for a key frame, now. Raises OnvifError."""
        if self.profile is None:
            await self.learn(size)
        assert self.profile is not None
        try:
            await self._call(self._media_path, onvif.set_synchronization_point(self.profile.token))
        except OnvifError as error:
            if error.trouble != "profile":
                raise
            self.forget()
            await self.learn(size)
            await self._call(self._media_path, onvif.set_synchronization_point(self.profile.token))

    async def _call(self, path: str, request: onvif.Request, *, with_login: bool = True) -> list[Element]:
        answer = await self._post(path, request, with_login=with_login)
        if answer.status == 401 and with_login and self._takes(answer):
            answer = await self._post(path, request, with_login=True)
        if answer.status == 401:
            raise OnvifError("it refused the login", "login")
        try:
            elements = read_xml(answer.body)
        except XmlError as error:
            sentence = f"its answer cannot be read: {error}" if answer.status == 200 else f"HTTP {answer.status}"
            raise OnvifError(sentence) from None
        if (fault := onvif.fault_of(elements)) is not None:
            if fault.kind == "login":
                raise OnvifError("it refused the login", "login")
            raise OnvifError(f"it said: {fault.reason}", "profile" if fault.kind == "profile" else "refused")
        if answer.status != 200:
            raise OnvifError(f"HTTP {answer.status}")
        return elements

    def _takes(self, answer: HttpAnswer) -> bool:
        """Whether it is worth trying again with the login in HTTP, as cameras want it that know no WS-Security."""
        if not self._username:
            return False
        offers = answer.headers.get("www-authenticate", ())
        digests = [value for value in offers if any(one.scheme == "digest" for one in parse_challenges(value))]
        # A password is never sent in the clear.
        chosen = offers if self.address.scheme == "https" else digests
        if self._http_login is None:
            self._http_login = Authenticator(self._username, self._password)
        return self._http_login.challenge(chosen)

    async def _post(self, path: str, request: onvif.Request, *, with_login: bool) -> HttpAnswer:
        headers = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{request.action}"'}
        login = self._http_login.authorization("POST", path) if with_login and self._http_login else None
        security = ""
        if login is not None:
            headers["Authorization"] = login
        elif with_login and self._username:
            at_s = self._wall_s() + self._clock_offset_s
            security = onvif.security(self._username, self._password, nonce=self._new_nonce(), at_s=at_s)
        try:
            message = post(self.address.shown, path, onvif.envelope(request, security), headers)
            async with asyncio.timeout(self._timeout_s):
                answer = await self._exchange(message)
        except TimeoutError:
            raise OnvifError(
                f"{self.address.shown} gave no answer within {self._timeout_s:g} s", "unreachable"
            ) from None
        except ssl.SSLError as error:
            raise OnvifError(f"{self.address.shown}: {error.reason}") from None
        except OSError as error:
            raise OnvifError(
                f"{self.address.shown} cannot be reached: {error.strerror or error}", "unreachable"
            ) from None
        except (HttpError, UnicodeError) as error:
            raise OnvifError(f"{self.address.shown}: {error}", "unreachable") from None
        if login is not None and self._http_login is not None and answer.status != 401:
            self._http_login.accepted()
        return answer

    async def _exchange(self, message: bytes) -> HttpAnswer:
        context = None
        if self.address.scheme == "https":
            context = self._ssl_context if self._ssl_context is not None else ssl.create_default_context()
        reader, writer = await asyncio.open_connection(
            self.address.host, self.address.port, ssl=context, limit=_READ_BYTES
        )
        try:
            writer.write(message)
            await writer.drain()
            came = b""
            while True:
                piece = await reader.read(_READ_BYTES)
                came += piece
                if (answer := read_answer(came, is_end=not piece)) is not None:
                    return answer
        finally:
            writer.transport.abort()

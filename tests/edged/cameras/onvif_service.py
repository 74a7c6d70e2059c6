"""An HTTP server that answers as an ONVIF camera does, and checks what it is asked: no package of one exists.

Written against the standard, and not against our client: the login is taken apart with another XML reader.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from xml.etree import ElementTree as ET

USER, PASSWORD = "viewer", "s&cret<"
_ACTION = re.compile(r'action="([^"]*)"')
_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
_PROFILES = """
<trt:Profiles token="sub_0" fixed="true"><tt:Name>sub</tt:Name>
  <tt:VideoSourceConfiguration token="vs"><tt:Bounds width="1920" height="1080"/></tt:VideoSourceConfiguration>
  <tt:VideoEncoderConfiguration token="ve0"><tt:Encoding>H264</tt:Encoding>
    <tt:Resolution><tt:Width>640</tt:Width><tt:Height>360</tt:Height></tt:Resolution></tt:VideoEncoderConfiguration>
</trt:Profiles>
<trt:Profiles token="main &amp; 1"><tt:VideoEncoderConfiguration token="ve1"><tt:Encoding>H264</tt:Encoding>
    <tt:Resolution><tt:Width>320</tt:Width><tt:Height>240</tt:Height></tt:Resolution></tt:VideoEncoderConfiguration>
</trt:Profiles>
<trt:Profiles token="photo"><tt:VideoEncoderConfiguration><tt:Encoding>JPEG</tt:Encoding>
    <tt:Resolution><tt:Width>320</tt:Width><tt:Height>240</tt:Height></tt:Resolution></tt:VideoEncoderConfiguration>
</trt:Profiles>
"""


class OnvifService:
    """`http_digest`: knows logins by HTTP only. `clock_off`: how wrong its clock is; one a minute off is refused."""

    def __init__(self, *, http_digest: bool = False, clock_off: timedelta = timedelta()) -> None:
        self.http_digest = http_digest
        self.clock_off = clock_off
        self.calls: list[str] = []
        self.tokens: list[str] = []
        self.faults: dict[str, str] = {}
        self.raw: dict[str, bytes] = {}
        self.is_chunked = False
        self.has_capabilities = True
        self.media_path = "/onvif/media"
        self.synchronized = asyncio.Event()
        self._nonces: set[str] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/onvif/device_service"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        method, path, _ = first.split(" ")
        assert method == "POST"
        status, answer, more = self._answer(path, headers, body)
        if isinstance(answer, str):
            names = f'xmlns:s="{_SOAP}" xmlns:tt="tt" xmlns:trt="trt"'
            text = f'<?xml version="1.0"?><s:Envelope {names}><s:Body>{answer}</s:Body></s:Envelope>'
            answer = text.encode()
            if self.is_chunked:
                pieces = (answer[at : at + 50] for at in range(0, len(answer), 50))
                answer = b"".join(f"{len(piece):x};x=1\r\n".encode() + piece + b"\r\n" for piece in pieces)
                more += "Transfer-Encoding: chunked\r\n"
                answer += b"0\r\n\r\n"
            else:
                more += f"Content-Length: {len(answer)}\r\n"
            answer = f"HTTP/1.1 {status} So\r\n{more}\r\n".encode() + answer
        writer.write(answer)
        await writer.drain()
        writer.close()

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str | bytes, str]:
        envelope = ET.fromstring(body)
        call = envelope.find(f"{{{_SOAP}}}Body")
        assert call is not None
        namespace, _, name = call[0].tag[1:].partition("}")
        said = _ACTION.search(headers["content-type"])
        assert said is not None
        assert said.group(1) == f"{namespace}/{name}"
        self.calls.append(name)
        if path != (self.media_path if "media" in namespace else "/onvif/device_service"):
            return 404, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", ""
        if name in self.raw:
            return 200, self.raw[name], ""
        if name != "GetSystemDateAndTime":
            if self.http_digest:
                if not self._is_http_login(headers.get("authorization", ""), path):
                    return 401, "", 'WWW-Authenticate: Digest realm="cam", qop="auth", nonce="n1"\r\n'
            elif not self._is_login(envelope):
                return 400, _fault("NotAuthorized", "Sender not authorized"), ""
        if name in self.faults:
            return 400, _fault(self.faults[name], f"no {name}"), ""
        return 200, getattr(self, f"_{name}")(call[0]), ""

    def _is_login(self, envelope: ET.Element) -> bool:
        token = envelope.find(f"{{{_SOAP}}}Header/{_WSSE}Security/{_WSSE}UsernameToken")
        if token is None:
            return False
        name, proof, nonce, created = (
            token.findtext(tag) or ""
            for tag in (f"{_WSSE}Username", f"{_WSSE}Password", f"{_WSSE}Nonce", f"{_WSU}Created")
        )
        right = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        off = datetime.fromisoformat(created) - (datetime.now(UTC) + self.clock_off)
        is_fresh = nonce not in self._nonces
        self._nonces.add(nonce)
        return name == USER and base64.b64decode(proof) == right and abs(off) < timedelta(minutes=1) and is_fresh

    def _is_http_login(self, header: str, path: str) -> bool:
        given = dict(re.findall(r'(\w+)="?([^",]*)"?', header.removeprefix("Digest ")))

        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode()).hexdigest()

        if given.get("username") != USER:
            return False
        right = md5(md5(USER, "cam", PASSWORD), "n1", given["nc"], given["cnonce"], "auth", md5("POST", path))
        return given["response"] == right and given["uri"] == path

    def _GetSystemDateAndTime(self, _call: ET.Element) -> str:  # noqa: N802 - its name in the standard
        now = datetime.now(UTC) + self.clock_off
        return (
            "<R><tt:SystemDateAndTime><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second>"
            f"</tt:Time><tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day>"
            "</tt:Date></tt:UTCDateTime><tt:LocalDateTime><tt:Time><tt:Hour>1</tt:Hour></tt:Time></tt:LocalDateTime>"
            "</tt:SystemDateAndTime></R>"
        )

    def _GetCapabilities(self, _call: ET.Element) -> str:  # noqa: N802
        # Behind a router a camera names an address that only it can reach.
        where = "<tt:Media><tt:XAddr>http://10.0.0.9:81/onvif/media</tt:XAddr></tt:Media>"
        return f"<R><tt:Capabilities>{where if self.has_capabilities else ''}</tt:Capabilities></R>"

    def _GetProfiles(self, _call: ET.Element) -> str:  # noqa: N802
        return f"<R>{_PROFILES}</R>"

    def _SetSynchronizationPoint(self, call: ET.Element) -> str:  # noqa: N802
        assert call[0].tag.endswith("}ProfileToken")
        self.tokens.append(call[0].text or "")
        self.synchronized.set()
        return "<R/>"


def _fault(code: str, text: str) -> str:
    return (
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:{code}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en">{text}</s:Text></s:Reason></s:Fault>'
    )

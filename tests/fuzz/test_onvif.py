"""Whatever a camera answers by HTTP, it is read or refused with the reader's own error, in bounds."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from edged.cameras import onvif_messages as onvif
from edged.cameras.http_answer import MAX_BODY_BYTES, HttpError, read_answer
from edged.cameras.xml_elements import MAX_DEPTH, MAX_ELEMENTS, XmlError, read_xml
from tests.fuzz.material import FUZZ, spoiled_bytes

HTTP = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n5;a=b\r\n<R/>x\r\n0\r\n\r\n"
SOAP = (
    b'<?xml version="1.0"?><s:E xmlns:s="urn:s"><s:Body><R><Profiles token="a"><VideoEncoderConfiguration>'
    b"<Encoding>H264</Encoding><Resolution><Width>1</Width><Height>2</Height></Resolution></VideoEncoderConfiguration>"
    b"</Profiles><Capabilities><Media><XAddr>http://cam/x</XAddr></Media></Capabilities><UTCDateTime><Time><Hour>1"
    b"</Hour><Minute>2</Minute><Second>3</Second></Time><Date><Year>2024</Year><Month>2</Month><Day>3</Day></Date>"
    b"</UTCDateTime><Fault><Value>a:NoProfile</Value><Text>t</Text></Fault></R></s:Body></s:E>"
)


@FUZZ
@given(spoiled_bytes(HTTP), st.booleans())
@example(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, True)
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 40_000, False)
def test_an_answer_is_read_or_refused(data: bytes, is_end: bool) -> None:
    with suppress(HttpError):
        answer = read_answer(data, is_end=is_end)
        assert answer is None or len(answer.body) <= MAX_BODY_BYTES


@FUZZ
@given(spoiled_bytes(SOAP))
@example(SOAP)
@example(SOAP.replace(b"2024</Year><Month>2</Month><Day>3", b"9999</Year><Month>12</Month><Day>31"))
@example(SOAP.replace(b"2024", b"1"))
@example(b"<a>" * 100_000)
@example(b"<a " + b" ".join(b'a%d="b"' % number for number in range(5000)) + b"/>")
def test_xml_is_read_or_refused_and_nothing_in_it_ends_the_reading(data: bytes) -> None:
    with suppress(XmlError):
        elements = read_xml(data)
        assert len(elements) <= MAX_ELEMENTS
        assert max((len(one.path) for one in elements), default=0) <= MAX_DEPTH
        onvif.fault_of(elements)
        told_s = onvif.camera_time_s(elements)
        onvif.security("u", "p", nonce=b"n", at_s=(told_s or 0.0) + 60)
        path = onvif.media_path(elements)
        assert path is None or path.startswith("/")
        for profile in onvif.profiles(elements):
            onvif.envelope(onvif.set_synchronization_point(profile.token))

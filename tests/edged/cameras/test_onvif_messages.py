from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

import pytest

from edged.cameras import onvif_messages as onvif
from edged.cameras.onvif_messages import Fault, Profile
from edged.cameras.xml_elements import Element, read_xml


def test_the_login_is_that_of_the_standards_own_example() -> None:
    """ONVIF Application Programmer's Guide, section 6.1.1.2."""
    nonce = base64.b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    header = onvif.security("user", "userpassword", nonce=nonce, at_s=1284623445)
    for part in ("2010-09-16T07:50:45Z", "tuOSpGlFlIXsozq4HFNeeGeFLEI=", "LKqI6G/AikKCQrN0zqZFlg=="):
        assert f">{part}<" in header


def test_whatever_a_token_holds_a_message_stays_xml() -> None:
    request = onvif.set_synchronization_point('a<b>&"c')
    message = ET.fromstring(onvif.envelope(request, onvif.security("u<", "p", nonce=b"n", at_s=0)))
    assert [one.text for one in message.iter() if one.tag.endswith("ProfileToken")] == ['a<b>&"c']
    assert [one.text for one in message.iter() if one.tag.endswith("Username")] == ["u<"]
    assert request.action == "http://www.onvif.org/ver10/media/wsdl/SetSynchronizationPoint"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("ter:NotAuthorized", "login"), ("wsse:FailedAuthentication", "login"), ("NoProfile", "profile"), ("x", "other")],
)
def test_a_fault_says_what_kind_of_no_it_is(code: str, kind: str) -> None:
    text = f"<E><Body><Fault><Code><Value>Sender</Value><Subcode><Value>{code}</Value></Subcode></Code>"
    elements = read_xml(
        f"{text}<Reason><Text>it\u0007 is{'x' * 500}</Text></Reason></Fault></Body></E>".replace("\u0007", "").encode()
    )
    fault = onvif.fault_of(elements)
    assert fault is not None
    assert fault.kind == kind
    assert len(fault.reason) == 160


def test_an_old_fault_and_one_without_a_reason() -> None:
    old = b"<E><Body><Fault><faultcode>S:Client</faultcode><faultstring>bad</faultstring></Fault></Body></E>"
    assert onvif.fault_of(read_xml(old)) == Fault("other", "bad")
    assert onvif.fault_of(read_xml(b"<E><Fault/></E>")) == Fault("other", "it gave no reason")
    assert onvif.fault_of(read_xml(b"<E><Value>ter:NotAuthorized</Value></E>")) is None


def test_the_clock_of_a_camera() -> None:
    parts = {"Year": "2024", "Month": "2", "Day": "29", "Hour": "23", "Minute": "59", "Second": "60"}

    def told(**changed: str) -> float | None:
        return onvif.camera_time_s(
            [Element(("R", "UTCDateTime", name), {}, text) for name, text in (parts | changed).items()]
        )

    assert told() == 1709251199.0
    for wrong in ({"Month": "13"}, {"Year": "soon"}, {"Year": "99999999999999999999"}, {"Year": "9999"}, {"Year": "1"}):
        assert told(**wrong) is None
    assert onvif.camera_time_s([]) is None


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ("http://10.1.1.1:80/onvif/Media", "/onvif/Media"),
        ("/onvif/media", "/onvif/media"),
        ("http://10.1.1.1", None),
        ("http://[::1/x", None),
        ("http://cam/a b", None),
        ("", None),
    ],
)
def test_of_the_media_service_only_the_path_is_taken(told: str, path: str | None) -> None:
    assert onvif.media_path([Element(("R", "Capabilities", "Media", "XAddr"), {}, told)]) == path
    assert onvif.media_path([Element(("R", "Capabilities", "Events", "XAddr"), {}, told)]) is None


def profile(token: str, width: str = "640", height: str = "360", encoding: str = "H264") -> str:
    size = f"<Resolution><Width>{width}</Width><Height>{height}</Height></Resolution>"
    encoder = f"<VideoEncoderConfiguration><Encoding>{encoding}</Encoding>{size}</VideoEncoderConfiguration>"
    return f'<Profiles token="{token}"><Name>n</Name>{encoder}</Profiles>'


def test_profiles_are_read_with_what_they_tell() -> None:
    text = profile("a") + profile("b", width="wide") + '<Profiles token="c"/>' + profile("") + profile("x" * 300)
    assert onvif.profiles(read_xml(f"<R>{text}</R>".encode())) == [
        Profile("a", "H264", (640, 360)),
        Profile("b", "H264", None),
        Profile("c", "", None),
    ]


def test_the_profile_of_a_stream_is_that_of_its_size() -> None:
    small, main = Profile("s", "H264", (640, 360)), Profile("m", "H264", (1920, 1080))
    photo = Profile("p", "JPEG", (1920, 1080))
    known = [photo, small, main]
    assert onvif.choose_profile(known, (1920, 1080)) is main
    assert onvif.choose_profile(known, (320, 240)) is small
    assert onvif.choose_profile(known, None) is small
    assert onvif.choose_profile([photo], None) is photo
    h265 = Profile("h", "H265", (1920, 1080))
    assert onvif.choose_profile([small, h265], (1920, 1080)) is h265, "not the sub, though that is H.264"
    assert onvif.choose_profile([], (1, 1)) is None

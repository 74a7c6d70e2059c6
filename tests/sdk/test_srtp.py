"""libsrtp called directly does what pylibsrtp does."""

from __future__ import annotations

import pytest
from pylibsrtp import Policy, Session

from metered_realtime.media.rtp import parse_rtp
from metered_realtime.media.rtp_image import PacketFormat, build_images
from metered_realtime.srtp import protect_image, protect_packet, unprotect_reports

KEY = bytes(range(28))
PROFILES = {
    "AES-GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16),
    "AES-CM": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 10),
}


def sessions(profile: int) -> tuple[Session, Session]:
    """Return the two ends of one direction."""
    key = KEY if profile == Policy.SRTP_PROFILE_AEAD_AES_128_GCM else bytes(range(30))
    return (
        Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)),
        Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile)),
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_every_packet_of_an_image_is_decrypted_by_the_other_side(profile: str) -> None:
    number, tag_bytes = PROFILES[profile]
    sender, receiver = sessions(number)
    fmt = PacketFormat(payload_type=96, send_time_id=1, tag_bytes=tag_bytes)
    payloads = [bytes([index]) * 700 for index in range(5)]
    (image,) = build_images(payloads, fmt)

    protected = protect_image(sender, image, 65534, 90_000, 0xCAFE)

    assert len(protected) == len(image.data)
    packets = [
        parse_rtp(receiver.unprotect(bytes(protected[offset : offset + length + tag_bytes])))
        for offset, length in image.places
    ]
    assert [packet.payload for packet in packets if packet] == payloads
    assert [packet.sequence for packet in packets if packet] == [65534, 65535, 0, 1, 2]
    assert {(packet.timestamp, packet.ssrc) for packet in packets if packet} == {(90_000, 0xCAFE)}


def test_the_shared_image_is_not_changed() -> None:
    sender, _ = sessions(PROFILES["AES-GCM"][0])
    (image,) = build_images([b"picture"], PacketFormat(payload_type=96, send_time_id=None, tag_bytes=16))
    before = bytes(image.data)

    protect_image(sender, image, 1, 2, 3)

    assert image.data == before


def test_what_libsrtp_refuses_is_an_error_of_the_connection() -> None:
    sender, _ = sessions(PROFILES["AES-GCM"][0])
    (image,) = build_images([b"picture"], PacketFormat(payload_type=96, send_time_id=None, tag_bytes=16))
    protect_image(sender, image, 1, 2, 3)

    with pytest.raises(ConnectionError, match="libsrtp refuses"):
        protect_image(sender, image, 1, 2, 3)  # the same packet index twice (RFC 3711 section 3.3.2)
    with pytest.raises(ConnectionError):
        protect_packet(sender, b"no packet")


def test_a_single_packet_is_decrypted_by_the_other_side() -> None:
    sender, receiver = sessions(PROFILES["AES-GCM"][0])
    packet = b"\x80\x60" + bytes(10) + b"payload"

    assert receiver.unprotect(protect_packet(sender, packet)) == packet


def test_a_later_time_of_sending_is_written_over_that_of_the_image() -> None:
    sender, receiver = sessions(PROFILES["AES-GCM"][0])
    (image,) = build_images([b"one", b"two"], PacketFormat(payload_type=96, send_time_id=1, tag_bytes=16))

    protected = protect_image(sender, image, 1, 2, 3, send_time=b"\x01\x02\x03")

    for offset, length in image.places:
        assert receiver.unprotect(bytes(protected[offset : offset + length + 16]))[16:20] == b"\x12\x01\x02\x03"


def test_transport_wide_numbers_are_written_into_every_packet() -> None:
    sender, receiver = sessions(PROFILES["AES-GCM"][0])
    fmt = PacketFormat(payload_type=96, send_time_id=None, tag_bytes=16, transport_id=5)
    (image,) = build_images([b"one", b"two"], fmt)

    protected = protect_image(sender, image, 1, 2, 3, transport_sequence=65535)

    packets = [receiver.unprotect(bytes(protected[at : at + length + 16])) for at, length in image.places]
    assert [packet[12:20] for packet in packets] == [
        b"\xbe\xde\0\1\x51\xff\xff\0", b"\xbe\xde\0\1\x51\0\0\0",
    ]  # fmt: skip
    assert [packet[20:] for packet in packets] == [b"one", b"two"]


def test_reports_are_read_once_and_only_if_they_are_authentic() -> None:
    sender, receiver = sessions(PROFILES["AES-GCM"][0])
    report = b"\x80\xc9\x00\x01" + bytes(4)
    datagram = sender.protect_rtcp(report)

    assert unprotect_reports(receiver, datagram[:-1] + bytes((datagram[-1] ^ 1,))) == b""
    assert unprotect_reports(receiver, datagram) == report
    assert unprotect_reports(receiver, datagram) == b""

"""What single values may look like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import settings_checks as checks


@pytest.mark.parametrize(
    "url",
    [
        "wss://rms.metered.ca",
        "wss://hub.example.org:8443/",
        "ws://127.0.0.1:7880",
        "ws://localhost:1",
        "ws://[::1]:7880",
    ],
)
def test_an_origin_is_good(url):
    assert checks.hub_url_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "looks like"),
        ("https://hub.example.org", "looks like"),
        ("wss://", "looks like"),
        ("wss://[::1", "looks like"),
        ("wss://hub:99999", "looks like"),
        ("ws://hub.example.org", "write wss://hub.example.org"),
        ("ws://192.168.1.5:80", "write wss://192.168.1.5:80"),
        ("wss://hub.example.org/v1", "wss://hub.example.org"),
        ("wss://hub.example.org?key=1", "wss://hub.example.org"),
        ("wss://user:pw@hub.example.org", "hub.key"),
    ],
)
def test_a_bad_origin_gets_a_sentence_with_what_is_right(url, hint):
    assert hint in checks.hub_url_fault(url)


@pytest.mark.parametrize(
    "source",
    [
        "test:",
        "rtsp://cam/1",
        "rtsps://u:p@cam:322/x?y=1",
        "rtsp://[fe80::1]/1",
        "RTSP://cam",
        "rtsp://u:p@ss@cam/1",
        "rtsp://cam/1?user=a@b.c",
    ],
)
def test_a_camera_source_is_good(source):
    assert checks.camera_source_fault(source) == ""


def test_a_second_camera_source_may_be_left_out_and_is_checked_like_the_first():
    assert checks.optional_camera_source_fault("") == ""
    assert checks.optional_camera_source_fault("rtsp://cam/2") == ""
    assert checks.optional_camera_source_fault("cam") == checks.camera_source_fault("cam")


@pytest.mark.parametrize(
    "source", ["", "test", "http://cam/1", "/dev/video0", "rtsp://", "rtsp://u:secret@/x", "rtsp://["]
)
def test_a_bad_camera_source_is_refused_without_showing_it(source):
    fault = checks.camera_source_fault(source)
    assert "rtsp" in fault
    assert "secret" not in fault


@pytest.mark.parametrize(
    "source",
    ["rtsp://u:secret@a..b/1", "rtsp://u:secret@cam:99999/1", "rtsp://u:secret@cam:1:2/1", "rtsp://u:secret@cam/1 2"],
)
def test_what_the_camera_client_would_refuse_is_refused(source):
    fault = checks.camera_source_fault(source)
    assert "the camera address" in fault
    assert "secret" not in fault


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://admin:secret/x@cam/1",
        "rtsp://admin:p@secret/x@cam/1",
        "rtsp://admin:12/secret@cam/1",
        "rtsp://admin:p@secret#x@cam/1",
        "rtsp://admin:12?secret@cam/1",
    ],
)
def test_a_login_that_breaks_the_address_is_told_where_it_belongs(source):
    fault = checks.camera_source_fault(source)
    assert "give it as `password`" in fault
    assert "secret" not in fault


@pytest.mark.parametrize("topic", ["a", "a/b", "+/b", "a/+/b", "#", "a/#", "/a", "a//b", "$SYS/#", "grün/#"])
def test_a_topic_filter_is_good(topic):
    assert checks.topic_filter_fault(topic) == ""


@pytest.mark.parametrize("topic", ["", "a#", "a/#/b", "#/a", "a+", "a/b+/c", "a\x00b", "x" * 65536, "$share/g/a"])
def test_a_bad_topic_filter_is_refused(topic):
    assert checks.topic_filter_fault(topic)


@pytest.mark.parametrize("channel", ["farm", "farm/1", "grün", "x" * 256])
def test_a_channel_is_good(channel):
    assert checks.required_channel_fault(channel) == ""


@pytest.mark.parametrize("channel", ["x" * 257, "a\nb", "_metered/x", "_INTERNAL/x", "a\x85"])
def test_a_bad_channel_is_refused(channel):
    assert checks.channel_fault(channel)
    assert checks.required_channel_fault(channel)


def test_an_empty_channel_is_good_only_where_there_is_a_default():
    assert checks.channel_fault("") == ""
    assert checks.required_channel_fault("")


@pytest.mark.parametrize(
    ("name", "good"), [("yard", True), ("y-1.2_x", True), ("", False), ("-a", False), ("a b", False)]
)
def test_names_are_what_people_can_type(name, good):
    assert (checks.name_fault(name) == "") is good
    assert checks.optional_name_fault(name) == (checks.name_fault(name) if name else "")


def test_a_name_has_a_bounded_length():
    assert checks.name_fault("a" * 64) == ""
    assert "65" in checks.name_fault("a" * 65)


@pytest.mark.parametrize(("host", "good"), [("10.0.0.1", True), ("broker", True), ("::1", True), ("", False)])
def test_a_host_is_a_name_or_an_address(host, good):
    assert (checks.host_fault(host) == "") is good


@pytest.mark.parametrize("host", ["mqtt://broker", "broker/x", "u@broker", "a b", "192.168.1.2:1883", "broker:1883"])
def test_a_host_with_more_around_it_is_refused(host):
    assert checks.host_fault(host)


@given(st.text())
def test_checks_answer_any_text_with_a_sentence_or_nothing(text):
    for check in (
        checks.hub_url_fault,
        checks.camera_source_fault,
        checks.channel_fault,
        checks.name_fault,
        checks.topic_filter_fault,
        checks.host_fault,
    ):
        assert isinstance(check(text), str)


@pytest.mark.parametrize(
    "source",
    [
        "libcamera:",
        "libcamera:1",
        "v4l2:/dev/video0",
        "V4L2:/dev/v4l/by-id/usb-1",
        "file:/srv/a b.mp4",
        "exec:rpicam-vid -o -",
        "exec:sh -c 'a b'",
    ],
)
def test_sources_of_this_machine_are_good(source):
    assert checks.camera_source_fault(source) == ""
    assert checks.camera_source_kind(source) in ("v4l2", "file", "exec", "libcamera")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("v4l2:", "v4l2:/dev/video0"),
        ("v4l2:video0", "v4l2:/dev/video0"),
        ("file:clip.mp4", "whole path"),
        ("exec:", "names no command"),
        ("libcamera:imx219", "names no camera of libcamera"),
        ("exec:sh -c 'a", "quotation mark"),
        ("rtsp:cam", "not a camera source"),
    ],
)
def test_what_is_wrong_with_such_a_source_is_told(source, says):
    assert says in checks.camera_source_fault(source)


def test_an_encoder_has_a_name_as_ffmpeg_writes_it():
    for encoder in ("", "auto", "software", "h264_v4l2m2m", "libx264"):
        assert checks.encoder_fault(encoder) == ""
    assert "h264_v4l2m2m" in checks.encoder_fault("mpeg4; rm -rf")


@pytest.mark.parametrize("onvif", ["", "auto", "http://cam", "https://[fe80::1]:8443/onvif/device_service"])
def test_an_address_of_onvif_is_good(onvif: str) -> None:
    assert checks.onvif_fault(onvif) == ""


@pytest.mark.parametrize(
    ("onvif", "says"),
    [
        ("cam", "write auto, or http://HOST"),
        ("rtsp://cam/1", "write auto, or http://HOST"),
        ("http://", "write auto, or http://HOST"),
        ("http://cam:99999", "write auto, or http://HOST"),
        ("http://u:hidden@cam/", "must not hold a login"),
        ("http://cam/a?x=1", "only scheme, host, port and path"),
        ("http://cam/a b", "only scheme, host, port and path"),
    ],
)
def test_an_address_of_onvif_that_is_none_is_told_without_what_is_secret(onvif: str, says: str) -> None:
    fault = checks.onvif_fault(onvif)
    assert says in fault
    assert "hidden" not in fault


@pytest.mark.parametrize(
    ("control", "value", "says"),
    [
        ("rotation", 180, ""),
        ("hflip", True, ""),
        ("lens_position", 0.5, ""),
        ("exposure", "sport", ""),
        ("roi", "0.25,0.25,0.5,0.5", ""),
        ("exposure", "sport --output /etc/passwd", "is no value for an option"),
        ("rotation", [180], "is no value for an option"),
        ("output", "x", "no option that changes the picture"),
        ("post-process-file", "x", "no option that changes the picture"),
    ],
)
def test_controls_of_libcamera_are_options_that_change_the_picture(control: str, value: object, says: str) -> None:
    fault = checks.control_fault(control, value, kinds=("libcamera", ""))
    assert fault.startswith(says) if says else fault == ""


def test_controls_of_a_local_camera_are_whole_numbers() -> None:
    assert checks.control_fault("brightness", 3, kinds=("v4l2", "")) == ""
    assert "whole number" in checks.control_fault("brightness", 0.5, kinds=("v4l2", ""))


@pytest.mark.parametrize("topic", ["edged", "site/{gateway}/edge", "a b/c", "ä/ö", "x" * 1024])
def test_a_topic_that_can_be_published_to_is_good(topic):
    assert checks.site_topic_fault(topic) == ""


@pytest.mark.parametrize(
    ("topic", "fault"),
    [("", "no empty level"), ("/a", "no empty level"), ("a//b", "no empty level"), ("a/+", "no '+' and '#'"),
     ("a/#", "no '+' and '#'"), ("$SYS/a", "does not begin with '$'"), ("a\x00", "no control characters"),
     ("x" * 1025, "at most 1024 bytes"), ("{name}/x", "only {gateway} is filled in"), ("a}", "only {gateway}")],
)  # fmt: skip
def test_a_topic_that_cannot_be_published_to_says_why(topic, fault):
    assert fault in checks.site_topic_fault(topic)


@pytest.mark.parametrize("address", ["", "127.0.0.1:9555", "localhost:80", "[::1]:9555"])
def test_an_address_of_this_machine_may_be_listened_on(address):
    assert checks.loopback_listen_fault(address) == ""


@pytest.mark.parametrize(
    ("address", "fault"),
    [("9555", "not an address"), ("127.0.0.1", "not an address"), ("127.0.0.1:0", "not an address"),
     ("127.0.0.1:99999", "not an address"), ("a@127.0.0.1:1", "not an address"), ("127.0.0.1:1/x", "not an address"),
     ("http://127.0.0.1:1", "not an address"), ("0.0.0.0:9555", "this machine only"), ("pi:9555", "this machine only")],
)  # fmt: skip
def test_any_other_address_says_why_not(address, fault):
    assert fault in checks.loopback_listen_fault(address)


@pytest.mark.parametrize(("path", "is_good"), [("", True), ("/run/x.sock", True), ("x.sock", False), ("/run/", False)])
def test_a_socket_is_named_by_its_whole_path(path, is_good):
    assert (checks.socket_path_fault(path) == "") is is_good

"""The client against a real camera (gst-rtsp-server), and against a scripted one for what that never does."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator

import av
import pytest

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264 import nal_type, split_annex_b
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit
from metered_realtime.media.rtsp import (
    RtspAuthError,
    RtspClient,
    RtspConnectError,
    RtspNotFoundError,
    RtspNoVideoError,
    RtspProtocolError,
    RtspTimeoutError,
    RtspUrlError,
)
from metered_realtime.media.rtsp_message import RtspRequest
from tests.sdk.media.camera_process import CameraProcess, camera
from tests.sdk.media.h264_samples import rtp, slice_nal
from tests.sdk.media.scripted_camera import SDP, answer, frame, key_frame, polite, scripted

TIMEOUT_S = 8.0


@pytest.fixture(scope="module")
def open_camera() -> Iterator[CameraProcess]:
    with camera() as process:
        yield process


@pytest.fixture(scope="module")
def digest_camera() -> Iterator[CameraProcess]:
    with camera("--digest", "admin:p@ss word") as process:
        yield process


def client(url: str, **options: str) -> RtspClient:
    return RtspClient(url, timeout_s=TIMEOUT_S, **options)  # type: ignore[arg-type]


async def pictures(url: str, count: int, **options: str) -> tuple[list[bytes], list[int], RtspClient]:
    """Return the first units of a camera, decoded by nobody."""
    async with client(url, **options) as rtsp:
        units = []
        async for unit in rtsp.access_units():
            units.append(unit)
            if len(units) == count:
                break
        assert units[0].is_key
        return [unit.data for unit in units], [unit.pts_90k for unit in units], rtsp


def decoded_sizes(units: list[bytes]) -> list[tuple[int, int]]:
    codec = av.CodecContext.create("h264", "r")
    frames = [frame for data in units for frame in codec.decode(av.Packet(data))]
    frames += codec.decode(None)
    return [(frame.width, frame.height) for frame in frames]


@pytest.mark.system
@pytest.mark.parametrize("path", ["/cam", "/alaw", "/nosps", "/longgop"])
async def test_every_picture_of_a_real_camera_decodes(open_camera: CameraProcess, path: str) -> None:
    units, pts, rtsp = await pictures(open_camera.url(path), 12)
    assert decoded_sizes(units) == [(320, 240)] * 12
    assert [nal_type(nal) for nal in split_annex_b(units[0])][:2] == [7, 8]
    assert pts == sorted(pts)
    assert pts[-1] == pytest.approx(11 * 3000, abs=600)
    assert (rtsp.video.width, rtsp.video.height, rtsp.video.has_b_frames) == (320, 240, False)
    assert rtsp.video.profile == "Constrained Baseline"
    assert rtsp.stats().lost_packets == rtsp.stats().bad_packets == rtsp.dropped_units == 0


@pytest.mark.system
async def test_parameter_sets_of_the_sdp_come_before_every_key_frame(open_camera: CameraProcess) -> None:
    units, _, _ = await pictures(open_camera.url("/nosps"), 12)
    keys = [[nal_type(nal) for nal in split_annex_b(data)] for data in units if 5 in map(nal_type, split_annex_b(data))]
    assert len(keys) >= 2
    assert all(types[:2] == [7, 8] for types in keys)


@pytest.mark.system
async def test_b_frames_are_told_before_the_first_picture(open_camera: CameraProcess) -> None:
    async with client(open_camera.url("/bframes")) as rtsp:
        assert rtsp.video.has_b_frames is True


@pytest.mark.system
@pytest.mark.parametrize(("path", "codec"), [("/h265", "H265"), ("/mjpeg", "JPEG")])
async def test_a_camera_without_h264_is_told_by_its_codec(open_camera: CameraProcess, path: str, codec: str) -> None:
    with pytest.raises(RtspNoVideoError, match=f"sends {codec}, not H264") as caught:
        await pictures(open_camera.url(path), 1)
    assert caught.value.codecs == (codec,)


@pytest.mark.system
async def test_a_wrong_path_is_told(open_camera: CameraProcess) -> None:
    with pytest.raises(RtspNotFoundError, match=r"has no stream at /nothing: check the path"):
        await pictures(open_camera.url("/nothing"), 1)


@pytest.mark.system
async def test_digest_login_from_arguments_and_from_the_address(digest_camera: CameraProcess) -> None:
    await pictures(digest_camera.url(), 2, username="admin", password="p@ss word")
    await pictures(digest_camera.url(login="admin:p%40ss%20word"), 2)


@pytest.mark.system
async def test_wrong_or_missing_login_is_told_without_the_login(digest_camera: CameraProcess) -> None:
    with pytest.raises(RtspAuthError, match="refused the login") as caught:
        await pictures(digest_camera.url(login="admin:guess"), 1)
    assert "guess" not in str(caught.value)
    assert "admin" not in str(caught.value)
    with pytest.raises(RtspAuthError, match="wants a login"):
        await pictures(digest_camera.url(), 1)


@pytest.mark.system
async def test_basic_login() -> None:
    with camera("--basic", "admin:secret") as process:
        await pictures(process.url(login="admin:secret"), 2)
        with pytest.raises(RtspAuthError, match="refused the login"):
            await pictures(process.url(login="admin:wrong"), 1)


async def until_it_ends(rtsp: RtspClient, at_first_picture: Callable[[], None]) -> None:
    """Read until the stream raises."""
    await rtsp.next_unit()
    at_first_picture()
    async for _ in rtsp.access_units():
        pass


@pytest.mark.system
async def test_a_killed_camera_is_told_and_a_new_client_finds_it_again() -> None:
    with camera() as process:
        async with client(process.url()) as rtsp:
            with pytest.raises(RtspConnectError, match="the connection"):
                await until_it_ends(rtsp, process.kill)
        with pytest.raises(RtspConnectError, match="refuses connections"):
            await pictures(process.url(), 1)
        process.start()
        await pictures(process.url(), 2)


@pytest.mark.system
async def test_a_camera_that_hangs_is_found_by_its_missing_pictures() -> None:
    with camera() as process:
        async with RtspClient(process.url(), timeout_s=1.0) as rtsp:
            with pytest.raises(RtspTimeoutError, match="sent no picture for 1 s"):
                await until_it_ends(rtsp, process.freeze)


async def test_the_whole_conversation_ends_with_teardown() -> None:
    async with scripted() as fake:
        await pictures(fake.url, 1)
    assert fake.methods == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
    setup = fake.requests[2]
    assert setup.uri == fake.url + "/track1"
    assert setup.headers.get("transport") == "RTP/AVP/TCP;unicast;interleaved=0-1"
    assert "range" not in dict(fake.requests[3].headers.fields), "that would be a seek, for every viewer"
    assert fake.requests[-1].headers.get("session") == "12"


def with_session(timeout_s: int, alive: str | None = None) -> Callable[[RtspRequest], bytes | None]:
    """A camera whose session lasts `timeout_s`, and which answers GET_PARAMETER with `alive`."""

    def answers(request: RtspRequest) -> bytes | None:
        if request.method == "SETUP":
            return answer(request, Transport="RTP/AVP/TCP;interleaved=0-1", Session=f"12;timeout={timeout_s}")
        if request.method == "GET_PARAMETER" and alive is not None:
            return answer(request, alive)
        return polite(request)

    return answers


@pytest.mark.parametrize(
    ("alive", "methods"),
    [(None, ["GET_PARAMETER", "GET_PARAMETER"]), ("501 Not Implemented", ["GET_PARAMETER", "OPTIONS"])],
)
async def test_the_session_is_kept_alive_at_half_its_time(alive: str | None, methods: list[str]) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) > 2:
            await asyncio.Event().wait()

    async with scripted(with_session(30, alive)) as fake, RtspClient(fake.url, sleep=nap):
        await fake.until(lambda: len(fake.methods) == 6)
        assert fake.methods[4:] == methods
        assert fake.requests[4].headers.get("session") == "12"
        assert set(naps) == {15.0}


async def test_the_camera_chooses_the_channel_and_other_channels_are_ignored() -> None:
    def answers(request: RtspRequest) -> bytes | None:
        if request.method == "SETUP":
            return answer(request, Transport="RTP/AVP/TCP;interleaved=4-5", Session="12")
        if request.method == "PLAY":
            return key_frame(0, channel=0) + answer(request) + key_frame(7, channel=4)
        return polite(request)

    async with scripted(answers) as fake, client(fake.url) as rtsp:
        unit = await anext(aiter(rtsp.access_units()))
        assert unit.is_key
        assert rtsp.stats().pictures == 1


async def test_a_redirect_is_followed_without_giving_the_login_to_another_host() -> None:
    async with scripted() as other:
        asked: list[RtspRequest] = []

        def away(request: RtspRequest) -> bytes | None:
            asked.append(request)
            if request.method != "DESCRIBE":
                return polite(request)
            if not request.headers.get("authorization"):
                return answer(request, "401 Unauthorized", WWW_Authenticate='Basic realm="r"')
            return answer(request, "302 Moved", Location=other.url.replace("127.0.0.1", "localhost"))

        async with scripted(away) as first, client(first.url, username="u", password="p") as rtsp:
            assert rtsp.address == f"localhost:{other.port}"
    assert asked[-1].headers.get("authorization")
    assert not any(request.headers.get("authorization") for request in other.requests)


async def test_a_circle_of_redirects_ends() -> None:
    def around(request: RtspRequest) -> bytes | None:
        if request.method == "DESCRIBE":
            return answer(request, "301 Moved", Location=f"rtsp://127.0.0.1:{fake.port}/again")
        return polite(request)

    async with scripted(around) as fake:
        with pytest.raises(RtspProtocolError, match="in a circle"):
            await pictures(fake.url, 1)
    assert fake.methods.count("DESCRIBE") == 5


async def test_a_redirect_to_another_path_keeps_the_login() -> None:
    def moved(request: RtspRequest) -> bytes | None:
        if request.method == "DESCRIBE" and not request.uri.endswith("/live"):
            return answer(request, "301 Moved Permanently", Location="/live")
        return polite(request)

    async with scripted(moved) as fake:
        await pictures(fake.url, 1)
        assert [request.uri for request in fake.requests if request.method == "DESCRIBE"][-1].endswith("/live")


async def test_a_redirect_to_nowhere_is_told() -> None:
    def away(request: RtspRequest) -> bytes | None:
        if request.method == "DESCRIBE":
            return answer(request, "302 Moved", Location="http://elsewhere/")
        return polite(request)

    async with scripted(away) as fake:
        with pytest.raises(RtspProtocolError, match="redirects to an address that cannot be used"):
            await pictures(fake.url, 1)


async def test_a_camera_that_is_busy_or_has_no_tcp_is_told() -> None:
    def busy(request: RtspRequest) -> bytes | None:
        return answer(request, "503 Unavailable") if request.method == "PLAY" else polite(request)

    def udp_only(request: RtspRequest) -> bytes | None:
        return answer(request, "461 Unsupported") if request.method == "SETUP" else polite(request)

    for answers, says in ((busy, "is busy"), (udp_only, "over TCP")):
        async with scripted(answers) as fake:
            with pytest.raises(RtspProtocolError, match=says):
                await pictures(fake.url, 1)


async def test_a_camera_without_any_parameter_set_is_open_but_its_size_unknown() -> None:
    def silent(request: RtspRequest) -> bytes | None:
        return answer(request) if request.method == "PLAY" else polite(request)

    async with scripted(silent) as fake, client(fake.url) as rtsp:
        assert (rtsp.video.codec, rtsp.video.width, rtsp.video.has_b_frames) == ("H264", None, None)
        fake.say(key_frame(1))
        await rtsp.next_unit()
        assert (rtsp.video.width, rtsp.video.height) == (1280, 720)


async def test_a_keep_alive_without_an_answer_is_no_reason_to_stop() -> None:
    naps = 0
    napped_again = asyncio.Event()

    async def nap(_: float) -> None:
        nonlocal naps
        naps += 1
        if naps > 1:
            napped_again.set()
            await asyncio.Event().wait()

    def deaf(request: RtspRequest) -> bytes | None:
        return b"" if request.method == "GET_PARAMETER" else polite(request)

    async with scripted(deaf) as fake, RtspClient(fake.url, timeout_s=0.3, sleep=nap) as rtsp:
        for number in range(1, 22):
            fake.say(key_frame(number))
            await asyncio.sleep(0.02)
        assert napped_again.is_set()
        assert (await rtsp.next_unit()).is_key


async def test_a_lost_login_in_the_middle_ends_the_stream() -> None:
    async def no_nap(_: float) -> None:
        await asyncio.sleep(0)

    async with scripted(with_session(30, "401 Unauthorized")) as fake, RtspClient(fake.url, sleep=no_nap) as rtsp:
        with pytest.raises(RtspAuthError):
            await until_it_ends(rtsp, lambda: None)


async def test_a_slow_consumer_loses_groups_not_memory() -> None:
    async with scripted() as fake, client(fake.url) as rtsp:
        for number in range(1, 400):
            fake.say(key_frame(number))
        async with asyncio.timeout(5):
            while rtsp.stats().pictures < 400:
                await asyncio.sleep(0.01)
        assert rtsp.dropped_units > 200
        assert (await anext(aiter(rtsp.access_units()))).is_key


def test_an_address_of_no_use_is_told_at_once() -> None:
    with pytest.raises(RtspUrlError):
        RtspClient("http://cam/1")


def picture(number: int) -> bytes:
    """Return a picture that needs the one before it; `key_frame(0)` comes with PLAY."""
    return frame(0, rtp(1 + number, number * 3000, slice_nal(), marker=True))


async def test_a_picture_is_handed_over_at_once_and_one_that_is_not_taken_is_iterated_over_in_its_place() -> None:
    async with scripted() as fake, client(fake.url) as rtsp, asyncio.timeout(TIMEOUT_S):
        taken: asyncio.Queue[int] = asyncio.Queue()
        refused = {2 * 3000}

        def take(unit: AccessUnit) -> bool:
            taken.put_nowait(unit.pts_90k)
            return unit.pts_90k not in refused

        rtsp.hand_over(take)
        assert (await rtsp.next_unit()).is_key, "it waited already"
        fake.say(picture(1))
        assert await taken.get() == 3000
        fake.say(picture(2) + picture(3))
        assert [(await rtsp.next_unit()).pts_90k for _ in range(2)] == [6000, 9000]
        assert taken.get_nowait() == 6000
        assert taken.empty(), "the next one did not overtake it"
        fake.say(picture(4))
        assert await taken.get() == 12000
        assert rtsp.dropped_units == 0


async def test_whoever_raises_is_not_asked_again() -> None:
    async with scripted() as fake, client(fake.url) as rtsp, asyncio.timeout(TIMEOUT_S):
        await rtsp.next_unit()
        asked: list[int] = []

        def take(unit: AccessUnit) -> bool:
            asked.append(unit.pts_90k)
            raise ValueError

        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        rtsp.hand_over(take)
        fake.say(picture(1) + picture(2))
        with pytest.raises(RtspConnectError):
            await rtsp.next_unit()
        assert asked == [3000]


async def test_a_client_that_is_being_closed_hands_nothing_over() -> None:
    def last_words(request: RtspRequest) -> bytes | None:
        return picture(1) + answer(request) if request.method == "TEARDOWN" else polite(request)

    asked: list[AccessUnit] = []

    def take(unit: AccessUnit) -> bool:
        asked.append(unit)
        return True

    async with scripted(last_words) as fake:
        async with client(fake.url) as rtsp:
            await rtsp.next_unit()
            rtsp.hand_over(take)
        assert "TEARDOWN" in fake.methods
    assert rtsp.stats().units == 2, "it came while the camera was told"
    assert not asked


async def test_cancelling_an_open_leaves_no_connection_behind() -> None:
    async with scripted(lambda _: b"") as fake:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client(fake.url).__aenter__()
        async with asyncio.timeout(5):
            await fake.writers[0].wait_closed()


async def test_sound_is_taken_by_whoever_wants_it(open_camera: CameraProcess) -> None:
    sounds: list[AudioUnit] = []
    arrived = asyncio.Event()

    def take(sound: AudioUnit) -> None:
        sounds.append(sound)
        arrived.set()

    async with RtspClient(open_camera.url("/alaw"), timeout_s=TIMEOUT_S, on_audio=take) as rtsp:
        assert rtsp.audio == AudioFormat("PCMA", "pcm_alaw", 8000, 8000, 1)
        await rtsp.next_unit()
        await arrived.wait()
    assert sounds[0].data
    async with RtspClient(open_camera.url("/cam"), timeout_s=TIMEOUT_S, on_audio=take) as rtsp:
        assert rtsp.audio is None
        await rtsp.next_unit()


SOUND_SDP = SDP + b"m=audio 0 RTP/AVP 0\r\na=control:track2\r\n"


@pytest.mark.parametrize(
    ("status", "transport"),
    [
        ("461 Unsupported Transport", ""),
        ("403 Forbidden", ""),
        ("404 Not Found", ""),
        ("200 OK", "RTP/AVP;unicast;client_port=1-2"),
        ("200 OK", "RTP/AVP/TCP;unicast;interleaved=0-1"),
    ],
)
async def test_a_camera_that_refuses_its_sound_still_shows_its_picture(status: str, transport: str) -> None:
    def answers(request: RtspRequest) -> bytes | None:
        if request.method == "DESCRIBE":
            return answer(request, body=SOUND_SDP)
        if request.method == "SETUP" and request.uri.endswith("track2"):
            return answer(request, status, Transport=transport)
        return polite(request)

    async with scripted(answers) as fake:
        async with RtspClient(fake.url, timeout_s=TIMEOUT_S, on_audio=lambda _: None) as rtsp:
            assert rtsp.audio is None
            assert (await rtsp.next_unit()).is_key
        assert fake.methods[:5] == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"]


def sender_report(seconds: float, stamp: int) -> bytes:
    """Return a sender report; its time of day is `seconds` after some day in 2026."""
    return struct.pack("!BBHIQIII", 0x80, 200, 6, 7, round((3_989_000_000 + seconds) * (1 << 32)), stamp, 0, 0)


async def test_sender_reports_tell_which_sound_belongs_to_which_picture() -> None:
    sounds: asyncio.Queue[AudioUnit] = asyncio.Queue()
    voice = bytes(160)

    def answers(request: RtspRequest) -> bytes | None:
        if request.method == "DESCRIBE":
            return answer(request, body=SOUND_SDP)
        if request.method == "SETUP" and request.uri.endswith("track2"):
            return answer(request, Transport="RTP/AVP/TCP;unicast;interleaved=6-9")
        return polite(request)

    async with (
        scripted(answers) as fake,
        RtspClient(fake.url, timeout_s=TIMEOUT_S, on_audio=sounds.put_nowait) as rtsp,
    ):
        picture = await rtsp.next_unit()
        assert picture.taken_s is not None
        fake.say(frame(6, rtp(1, 500, voice, payload_type=0)))
        assert (await sounds.get()).taken_s is not None
        assert rtsp.sound_late_s is None
        # By the camera's time of day, this sound was taken a quarter of a second before the picture.
        fake.say(frame(1, sender_report(0.25, 0)) + frame(9, sender_report(0.0, 500)))
        fake.say(frame(6, rtp(2, 660, voice, payload_type=0)))
        taken_s = (await sounds.get()).taken_s
        assert taken_s == pytest.approx(picture.taken_s - 0.25 + 0.02, abs=0.001)
        assert rtsp.sound_late_s is not None
        assert rtsp.sound_late_s > 0.2

"""Looks at one camera as the gateway would open it, and tells what browsers get of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from edged.cameras.camera import Open
from edged.cameras.device_report import device_facts
from edged.cameras.errors import CameraError, owner_error
from edged.cameras.measure import Measure
from edged.cameras.pictures import Pictures, Road, can_be_encoded, onvif_camera, open_pictures
from edged.cameras.report import Report, judged, shown_source, video_facts
from edged.settings import CameraSettings
from edged.settings_checks import camera_source_kind
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtsp import RtspClient
from metered_realtime.media.rtsp_errors import RtspNoVideoError
from metered_realtime.media.source_errors import SourceError, SourceFormatError

if TYPE_CHECKING:
    from metered_realtime.media.v4l2 import Capability
    from metered_realtime.media.v4l2_device import V4l2System

# Two key frames and this long tell enough; `within_s` is for cameras whose key frames are far apart.
_ENOUGH_S = 2.0
# The other road takes a decoder, an encoder, and perhaps a search for one.
_ENCODED_WITHIN_S = 40.0
_KEY_FRAME_WITHIN_S = 3.0
_AGAIN_S = 1.0


async def probe(
    settings: CameraSettings,
    *,
    within_s: float,
    open_source: Open = open_pictures,
    system: V4l2System | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Open the camera, watch it for at most `within_s`, and report; what fails is part of the report."""
    source = shown_source(settings.source.reveal())
    can_encode = can_be_encoded(settings) and settings.transcode == "auto"
    facts: dict[str, Any] = {}
    road: Road = "encoded"
    try:
        if camera_source_kind(settings.source.reveal()) == "v4l2":
            facts["device"] = await asyncio.to_thread(_device, settings, system)
    except SourceError as error:
        return Report(source, facts, "unreachable", str(error))
    try:
        report = await _as_it_is(settings, facts, open_source, within_s, clock)
        if report.browsers in ("as it is", "unreachable"):
            return report
        reason = report.reason
    except (RtspNoVideoError, SourceFormatError) as error:
        reason = str(error)
        if isinstance(error, RtspNoVideoError):
            facts["offers"] = [*error.codecs]
            road = "foreign"
    except SourceError as error:
        return Report(source, facts, "unreachable", str(owner_error(error, settings)))
    except CameraError as error:
        return Report(source, facts, "unreachable", str(error))
    if not can_encode:
        return Report(source, facts, "refused", reason)
    await _look_with_ffmpeg(settings, facts, within_s)
    try:
        facts["encoded"] = await _patiently(lambda: _encoded(open_source(settings, road)))
    except (SourceError, CameraError) as error:
        if str(error) == reason:  # no road at all
            return Report(source, facts, "unreachable", reason)
        return Report(source, facts, "refused", f"{reason}; and it cannot be encoded here: {error}")
    return Report(source, facts, "encoded", reason)


async def _as_it_is(
    settings: CameraSettings, facts: dict[str, Any], open_source: Open, within_s: float, clock: Callable[[], float]
) -> Report:
    began_s = clock()
    async with open_source(settings, "as it is") as pictures:
        opened_ms = round((clock() - began_s) * 1000)
        measure, units = Measure(), pictures.access_units()
        try:
            async with asyncio.timeout(within_s):
                await _watch(units, measure, lambda: clock() - began_s)
        except TimeoutError:
            units = pictures.access_units()
        facts["opened_ms"] = opened_ms
        facts |= video_facts(pictures.video, measure.rates(), measure.pictures)
        facts |= _of_rtsp(pictures)
        if settings.onvif:
            facts["onvif"] = await _onvif(settings, pictures, units, clock)
        return judged(
            shown_source(settings.source.reveal()), facts, pictures.video, can_encode=settings.transcode == "auto"
        )


async def _look_with_ffmpeg(settings: CameraSettings, facts: dict[str, Any], within_s: float) -> None:
    from edged.cameras.probe_encoding import coding_facts, encoder_facts  # noqa: PLC0415 - loads FFmpeg

    if "codec" not in facts:
        with contextlib.suppress(SourceError):  # the other road tells why
            facts |= await _patiently(lambda: asyncio.to_thread(coding_facts, settings, within_s))
    facts["encoder"] = await asyncio.to_thread(encoder_facts, settings)


async def _patiently(attempt: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """A camera that has just been left may not take the next one at once."""
    try:
        return await attempt()
    except SourceError:
        await asyncio.sleep(_AGAIN_S)
        return await attempt()


async def _encoded(source: AbstractAsyncContextManager[Pictures]) -> dict[str, Any]:
    """The other road is not only allowed: it is gone, as far as its first picture."""
    try:
        async with asyncio.timeout(_ENCODED_WITHIN_S), source as pictures:
            await anext(pictures.access_units())
            video = pictures.video
            return {"road": pictures.road, "width": video.width, "height": video.height, "profile": video.profile}
    except TimeoutError:
        raise CameraError(f"no picture came within {_ENCODED_WITHIN_S:g} s") from None


async def _watch(units: AsyncIterator[AccessUnit], measure: Measure, seconds: Callable[[], float]) -> None:
    async for unit in units:
        measure.push(unit)
        if measure.keys > 1 and seconds() >= _ENOUGH_S:
            return


async def _onvif(
    settings: CameraSettings, pictures: Pictures, units: AsyncIterator[AccessUnit], clock: Callable[[], float]
) -> dict[str, Any]:
    """Ask for a key frame as viewers would have it asked for, and wait for it."""
    from edged.cameras.onvif import OnvifError  # noqa: PLC0415 - of no use to most cameras

    camera = onvif_camera(settings)
    width, height = pictures.video.width, pictures.video.height
    try:
        await camera.set_synchronization_point(None if width is None or height is None else (width, height))
    except OnvifError as error:
        return {"profile": None, "key_frame_ms": None, "reason": str(error)}
    asked_s = clock()
    told: dict[str, Any] = {"profile": camera.profile.token if camera.profile else None, "reason": ""}
    try:
        async with asyncio.timeout(_KEY_FRAME_WITHIN_S):
            async for unit in units:
                if unit.is_key:
                    return told | {"key_frame_ms": round((clock() - asked_s) * 1000)}
    except TimeoutError:
        pass
    return told | {"key_frame_ms": None}


def _of_rtsp(pictures: object) -> dict[str, Any]:
    if not isinstance(pictures, RtspClient):
        return {}
    stats = pictures.stats()
    return {
        "transport": pictures.transport,
        "audio": [codec for kind, codec in pictures.offered if kind == "audio"],
        "lost_packets": stats.lost_packets,
        "repairs": stats.repairs,
    }


def _device(settings: CameraSettings, system: V4l2System | None) -> dict[str, Any]:
    from metered_realtime.media.v4l2_controls import list_controls  # noqa: PLC0415 - see `pictures`
    from metered_realtime.media.v4l2_device import V4l2Device  # noqa: PLC0415
    from metered_realtime.media.v4l2_formats import choose_mode  # noqa: PLC0415

    path = settings.source.reveal().strip().partition(":")[2]
    with V4l2Device(path, system) as device:
        who = device.capability()
        modes = device.modes(width=settings.width, height=settings.height)
    fault = _fault_of(who)
    roads = (
        choose_mode(modes, width=settings.width, height=settings.height, fps=settings.fps, passthrough=passthrough)
        for passthrough in ((True, False) if settings.transcode == "auto" else (True,))
        if not fault
    )
    taken = next((mode for mode in roads if mode is not None), None)
    return device_facts(who.card, who.driver, modes, list_controls(path, system), taken, fault=fault)


def _fault_of(who: Capability) -> str:
    if who.converts:
        return "an encoder, decoder or scaler, and no camera"
    if who.captures_in_planes:
        return "gives its pictures in separate planes, which cannot be read here (try libcamera:)"
    return "" if who.captures else "gives no pictures to read"

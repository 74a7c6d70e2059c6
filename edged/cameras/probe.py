"""Looks at one camera as the gateway would open it, and tells what browsers get of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edged.cameras.camera import Open
from edged.cameras.errors import CameraError, owner_error
from edged.cameras.measure import Measure
from edged.cameras.pictures import Pictures, can_be_encoded, open_pictures
from edged.cameras.report import Report, device_facts, judged, shown_source, video_facts
from edged.settings import CameraSettings
from edged.settings_checks import camera_source_kind
from metered_realtime.media.rtsp import RtspClient
from metered_realtime.media.rtsp_errors import RtspNoVideoError
from metered_realtime.media.source_errors import SourceError, SourceFormatError

if TYPE_CHECKING:
    from metered_realtime.media.v4l2_device import V4l2System

# Two key frames and this long tell enough; `within_s` is for cameras whose key frames are far apart.
_ENOUGH_S = 2.0


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
    try:
        if camera_source_kind(settings.source.reveal()) == "v4l2":
            facts["device"] = await asyncio.to_thread(_device, settings, system)
        began_s = clock()
        async with open_source(settings, "as it is") as pictures:
            facts["opened_ms"] = round((clock() - began_s) * 1000)
            measure = Measure()
            try:
                async with asyncio.timeout(within_s):
                    await _watch(pictures, measure, lambda: clock() - began_s)
            except TimeoutError:
                pass
            facts |= video_facts(pictures.video, measure.rates(), measure.pictures)
            facts |= _of_rtsp(pictures)
            return judged(source, facts, pictures.video, can_encode=can_encode)
    except RtspNoVideoError as error:
        facts["offers"] = list(error.codecs)
        return Report(source, facts, "encoded" if can_encode else "refused", str(error))
    except SourceFormatError as error:
        return Report(source, facts, "encoded" if can_encode else "refused", str(error))
    except SourceError as error:
        return Report(source, facts, "unreachable", str(owner_error(error, settings)))
    except CameraError as error:
        return Report(source, facts, "unreachable", str(error))


async def _watch(pictures: Pictures, measure: Measure, seconds: Callable[[], float]) -> None:
    async for unit in pictures.access_units():
        measure.push(unit)
        if measure.keys > 1 and seconds() >= _ENOUGH_S:
            return


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
    roads = (
        choose_mode(modes, width=settings.width, height=settings.height, fps=settings.fps, passthrough=passthrough)
        for passthrough in ((True, False) if settings.transcode == "auto" else (True,))
    )
    taken = next((mode for mode in roads if mode is not None), None)
    return device_facts(who.card, who.driver, modes, list_controls(path, system), taken)

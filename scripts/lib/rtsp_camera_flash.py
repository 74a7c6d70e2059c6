"""A lamp and a horn for the RTSP camera of tests: flash and beep at the same moment, once a second.

Either may leave the camera late, stamped with when it was taken, as cameras do whose sound comes after its picture.
Needs the system's Python, as `rtsp_camera` does.
"""

from collections.abc import Callable

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer  # noqa: E402

FLASH_NS = 100 * Gst.MSECOND
WHITE, BLACK = 0xFFFFFFFF, 0xFF000000
LOUD = 0.8


def flashing(size: str, encoded: str, pay264: str, *, picture_late_ms: int, sound_late_ms: int) -> str:
    """Return the launch line; `size`, `encoded` and `pay264` are the parts of it that all pictures have."""
    lamp = f"videotestsrc is-live=true pattern=solid-color foreground-color={BLACK} name=lamp ! {size} ! "
    horn = "audiotestsrc is-live=true freq=1000 volume=0 samplesperbuffer=160 name=horn ! "
    return (
        f"{lamp}{encoded} ! {_late('picture', picture_late_ms)}{pay264} "
        f"{horn}audio/x-raw,rate=8000,channels=1 ! alawenc ! {_late('sound', sound_late_ms)}rtppcmapay name=pay1 pt=8"
    )


def _late(name: str, late_ms: int) -> str:
    limits = "max-size-buffers=0 max-size-bytes=0 max-size-time=0"
    return f"queue name=late-{name} min-threshold-time={late_ms * Gst.MSECOND} {limits} ! "


def keep_flashing(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    """Switch lamp and horn by the time of the pipeline, which both are stamped with."""

    def drive(name: str, switch: Callable[[Gst.Element, bool], None]) -> None:
        element = media.get_element().get_by_name(name)

        def passes(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
            buffer = info.get_buffer()  # what is set now is seen in the one after it
            switch(element, (buffer.pts + buffer.duration) % Gst.SECOND < FLASH_NS)
            return Gst.PadProbeReturn.OK

        element.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, passes)

    def added(_pipeline: Gst.Bin, element: Gst.Element) -> None:
        if element.get_name().startswith("rtpbin"):  # its reports are to tell when things were taken, not when sent
            element.set_property("rtcp-sync-send-time", False)

    media.get_element().get_parent().connect("element-added", added)

    def hidden(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        query = info.get_query()
        if query.type != Gst.QueryType.LATENCY:
            return Gst.PadProbeReturn.OK
        query.set_latency(True, 0, Gst.CLOCK_TIME_NONE)  # else the server would make the other one wait
        return Gst.PadProbeReturn.HANDLED

    for name in ("late-picture", "late-sound"):
        queue = media.get_element().get_by_name(name)
        queue.get_static_pad("src").add_probe(Gst.PadProbeType.QUERY_UPSTREAM, hidden)
    drive("lamp", lambda lamp, on: lamp.set_property("foreground-color", WHITE if on else BLACK))
    drive("horn", lambda horn, on: horn.set_property("volume", LOUD if on else 0.0))

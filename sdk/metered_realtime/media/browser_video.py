"""Which pictures browsers do not show, told from their description, with what the camera's owner can change. Pure."""

from __future__ import annotations

from metered_realtime.media.video_description import VideoDescription

# Level 5.2 (ITU-T H.264 table A-1): no browser's decoder promises more.
_MAX_LEVEL = 5.2
_MAX_MACROBLOCKS = 36_864


def browser_fault(video: VideoDescription) -> str | None:
    """Return one sentence on why browsers would not show it, None where they will as far as is known.

    H.265 is judged for those browsers that take it at all.
    """
    if video.codec not in ("H264", "H265"):
        return f"it sends {video.codec}, which browsers do not show: choose H.264 (AVC) in the camera's settings"
    profile = "a profile up to High" if video.codec == "H264" else "the Main profile"
    if video.has_b_frames:
        other = ", or choose its Baseline profile" if video.codec == "H264" else ""
        return f"it sends B-frames, which browsers show jerkily or not at all: switch them off in the camera{other}"
    if video.chroma_format is not None and video.chroma_format != "4:2:0":
        return (
            f"its colours are coded as {video.chroma_format}, which browsers do not show: choose 4:2:0 "
            f"({profile}) in the camera's settings"
        )
    if video.bit_depth is not None and video.bit_depth > 8:
        return (
            f"it sends {video.bit_depth} bits a colour, which browsers do not show: choose 8 bits "
            f"({profile}) in the camera's settings"
        )
    return _too_large(video)


def _too_large(video: VideoDescription) -> str | None:
    if video.width is not None and video.height is not None:
        macroblocks = -(-video.width // 16) * -(-video.height // 16)
        if macroblocks > _MAX_MACROBLOCKS:
            return (
                f"its picture of {video.width}x{video.height} is larger than browsers decode: "
                "choose 4096x2160 or less in the camera's settings"
            )
    if video.level is not None and float(video.level) > _MAX_LEVEL:
        return (
            f"it announces level {video.level}, more than browsers decode: "
            f"choose level {_MAX_LEVEL} or less, or a smaller picture, in the camera's settings"
        )
    return None

"""A process of its own that tries one encoder: drivers hang, and libraries of vendors crash, where they do not fit.

    python -m metered_realtime.media.encoder_trial ENCODER

Prints the pixel format that gave a key frame which can be decoded, and ends with 0; else with 1, a reason on stderr.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

import av

from metered_realtime.media.encoder_open import TIME_BASE, open_encoder
from metered_realtime.media.encoder_search import PIXEL_FORMATS
from metered_realtime.media.video_settings import EncoderSettings

# Every encoder of hardware takes this size.
_SIZE = (640, 480)
_FPS = 30
# Encoders of hardware hold some pictures back.
_PICTURES = 32
# Nobody waits any more, and whoever started it may be gone.
_END_S = 30


def tried(encoder: str) -> str:
    """Return the pixel format in which the encoder works. Raises av.FFmpegError or ValueError where in none."""
    takes = [one.name for one in av.Codec(encoder, "w").video_formats or ()]
    # One that tells no formats takes what its device takes; one that wants pictures in its device's memory is given
    # those by FFmpeg.
    formats = [name for name in PIXEL_FORMATS if name in takes] or PIXEL_FORMATS
    for pixel_format in formats[:-1]:
        with contextlib.suppress(av.FFmpegError, ValueError):
            _encode_and_decode(encoder, pixel_format)
            return pixel_format
    _encode_and_decode(encoder, formats[-1])
    return formats[-1]


def _encode_and_decode(encoder: str, pixel_format: str) -> None:
    codec = open_encoder(encoder, pixel_format, EncoderSettings(bitrate_bps=1_000_000, fps=_FPS), _SIZE)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.extradata = codec.extradata
    is_first = True
    for number in range(_PICTURES):
        frame = av.VideoFrame(*_SIZE, pixel_format)
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = number * TIME_BASE.denominator // _FPS, TIME_BASE
        for packet in codec.encode(frame):
            if is_first and not packet.is_keyframe:
                raise ValueError("its first picture is no key frame")
            is_first = False
            if any((picture.width, picture.height) == _SIZE for picture in decoder.decode(packet)):
                return
    raise ValueError(f"it took {_PICTURES} pictures and gave none that can be decoded")


def end_after(seconds: int) -> None:
    """Have the kernel end this process then, whatever it hangs in. Not on Windows."""
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)


def main() -> int:
    """Try the encoder that is named."""
    try:
        sys.stdout.write(tried(sys.argv[1]) + "\n")
    except av.codec.codec.UnknownCodecError as error:
        return _say(f"this FFmpeg has no {error}")
    except av.FFmpegError as error:
        return _say(f"it cannot be opened, or does not work: {error.strerror}")
    except ValueError as error:
        return _say(str(error))
    return 0


def _say(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return 1


if __name__ == "__main__":
    end_after(_END_S)
    sys.exit(main())

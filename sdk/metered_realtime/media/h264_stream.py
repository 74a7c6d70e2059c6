"""A pipe of Annex-B bytes, as programs like rpicam-vid write it, cut into pictures. Pure."""

from __future__ import annotations

from metered_realtime.media import h264

MAX_PICTURE_BYTES = 5 * 1024 * 1024
# From so many pictures of one slice each it follows that the next one has one slice, too.
_SURE_AFTER = 8
_CODE = b"\x00\x00\x01"
_SLICES = (h264.NAL_SLICE, h264.NAL_PARTITION_A, h264.NAL_IDR)
_BEFORE_A_PICTURE = (h264.NAL_SEI, h264.NAL_SPS, h264.NAL_PPS, h264.NAL_AUD)


class H264Stream:
    """`push` gives the pictures that are complete; the end of one is seen at the beginning of the next.

    Who knows that the writer pauses may call `pause()`: where every picture so far was one slice, what is there is
    the whole next one, and need not wait for its successor. `overflows` counts pictures that grew without end.
    """

    def __init__(self) -> None:
        self.overflows = 0
        self._buffer = bytearray()
        self._scanned = 0
        self._nals: list[bytes] = []
        self._bytes = 0
        self._slices = 0
        self._single_slices = 0
        self._pauses_tell = True
        self._paused = False

    def push(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the pipe."""
        if self._paused:
            self._paused = False
            # What goes on in the middle of a unit shows that the pause was none: never trust one again.
            self._pauses_tell = data.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01"))
        pictures: list[bytes] = []
        self._buffer += data
        while (found := self._buffer.find(_CODE, max(self._scanned, 1))) >= 0:
            self._take(bytes(self._buffer[:found]), pictures)
            del self._buffer[:found]
            self._scanned = len(_CODE)
        self._scanned = max(self._scanned, len(self._buffer) - len(_CODE) + 1)
        if self._slices and self._buffer.startswith(_CODE) and _begins_picture(self._buffer[3:5]):
            self._finish(pictures)
        if len(self._buffer) + self._bytes > MAX_PICTURE_BYTES:
            self._forget()
        return pictures

    def pause(self) -> list[bytes]:
        """The writer has stopped for a moment: give the picture that must be whole, if there is one."""
        if not self._buffer or not self._pauses_tell or self._single_slices < _SURE_AFTER:
            return []
        pictures: list[bytes] = []
        self._take(bytes(self._buffer), pictures)
        self._buffer.clear()
        self._scanned = 0
        self._paused = True
        if self._slices:
            self._finish(pictures)
        return pictures

    def _take(self, piece: bytes, pictures: list[bytes]) -> None:
        """Take one unit with the start code before it."""
        nal = piece.removeprefix(_CODE).rstrip(b"\x00")
        kind = h264.nal_type(nal)
        if not kind:
            return
        if self._slices and _begins_picture(nal[:2]):
            self._finish(pictures)
        self._slices += kind in _SLICES
        self._nals.append(nal)
        self._bytes += len(_CODE) + len(nal)

    def _finish(self, pictures: list[bytes]) -> None:
        pictures.append(h264.join_annex_b(self._nals))
        self._single_slices = self._single_slices + 1 if self._slices == 1 else 0
        self._nals = []
        self._bytes = self._slices = 0

    def _forget(self) -> None:
        self.overflows += 1
        self._buffer.clear()
        self._scanned = 0
        self._nals = []
        self._bytes = self._slices = 0


def _begins_picture(head: bytes | bytearray) -> bool:
    """Judge by the first two bytes of a unit: a slice of macroblock 0 begins with a set bit (7.3.3, 9.1)."""
    kind = h264.nal_type(bytes(head))
    if kind in _SLICES:
        return len(head) > 1 and bool(head[1] & 0x80)
    return kind in _BEFORE_A_PICTURE

"""`AudioSource`: sound an application makes, pushed in as it comes and sent at the speed of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from fractions import Fraction

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.logger import Logger, NoopLogger

RATE = 48_000
FRAME_SAMPLES = 960
BYTES_PER_SAMPLE = 4  # stereo, 16 bit
FRAME_BYTES = FRAME_SAMPLES * BYTES_PER_SAMPLE
BYTES_PER_S = RATE * BYTES_PER_SAMPLE
# Late by more than this, the clock is set anew: a burst of old sound helps nobody.
RESYNC_S = 0.1
_TIME_BASE = Fraction(1, RATE)


class AudioSource(MediaStreamTrack):
    """A track for `add_track`, fed with raw sound.

    `input_rate` (Hz) and `input_layout` (`mono`, `stereo`) describe bytes given to `push`: signed 16 bit, native byte
    order. Out come frames of 20 ms, 48 kHz stereo, silence where nothing was pushed. At most `max_buffered_seconds`
    wait. While nobody listens, time passes all the same: sound that would have been heard is gone.
    Raises ValueError for another layout or a rate that is no rate.
    """

    kind = "audio"

    def __init__(
        self,
        *,
        input_rate: int = 16_000,
        input_layout: str = "mono",
        max_buffered_seconds: float = 5.0,
        logger: Logger | None = None,
        _clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if input_layout not in ("mono", "stereo"):
            raise ValueError(f"input_layout must be 'mono' or 'stereo', not {input_layout!r}")
        if not 1_000 <= input_rate <= 768_000:
            raise ValueError(f"input_rate must be a sample rate in Hz from 1000 to 768000, not {input_rate!r}")
        self._input_rate = input_rate
        self._input_layout = input_layout
        self._input_sample_bytes = 2 if input_layout == "mono" else 4
        self._max_bytes = max(FRAME_BYTES, int(max_buffered_seconds * BYTES_PER_S))
        self._log = logger if logger is not None else NoopLogger()
        self._clock = _clock
        self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
        self._resampled_shape: tuple[str, str, int] | None = None
        self._half_sample = b""
        self._buffer = bytearray()
        self._heard_until_s: float | None = None
        self._room = asyncio.Event()
        self._order = asyncio.Lock()
        self._is_ended = False
        self._started_s: float | None = None
        self._sent_samples = 0

    @property
    def buffered_seconds(self) -> float:
        """Seconds of sound that wait to be sent."""
        return len(self._buffer) / BYTES_PER_S

    async def push(self, data: bytes | bytearray | memoryview | av.AudioFrame) -> None:
        """Add sound: bytes in the format of this source, cut anywhere, or an `av.AudioFrame` in any format.

        Waits while the buffer is full. No effect after `end()` or `stop()`. Raises TypeError for anything else.
        """
        if not isinstance(data, bytes | bytearray | memoryview | av.AudioFrame):
            raise TypeError(f"push: expected bytes or an av.AudioFrame, not {type(data).__name__}")
        async with self._order:
            if isinstance(data, av.AudioFrame):
                await self._append(self._resampled(data))
                return
            sound = self._half_sample + bytes(data)
            usable = len(sound) - len(sound) % self._input_sample_bytes
            self._half_sample = sound[usable:]
            slice_bytes = self._input_rate // 50 * self._input_sample_bytes
            for start in range(0, usable, slice_bytes):
                if self._is_over():
                    return
                await self._append(self._resampled(self._frame(sound[start : min(start + slice_bytes, usable)])))

    def end(self) -> None:
        """No more sound will come: the track ends when what waits has been sent. May be called again."""
        if not self._is_ended:
            self._is_ended = True
            for frame in self._resampler.resample(None):
                self._buffer += _pcm(frame)
            self._room.set()

    def stop(self) -> None:
        """End at once."""
        super().stop()
        self._room.set()

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms, at the speed of time."""
        if self.readyState == "live" and self._is_ended and not self._buffer:
            self.stop()
        if self.readyState != "live":
            raise MediaStreamError
        await self._keep_time()
        chunk = bytes(self._buffer[:FRAME_BYTES])
        del self._buffer[:FRAME_BYTES]
        self._heard_until_s = self._clock()
        self._room.set()
        frame = av.AudioFrame(format="s16", layout="stereo", samples=FRAME_SAMPLES)
        frame.planes[0].update(chunk.ljust(FRAME_BYTES, b"\0"))
        frame.sample_rate = RATE
        frame.pts = self._sent_samples
        frame.time_base = _TIME_BASE
        self._sent_samples += FRAME_SAMPLES
        return frame

    async def _keep_time(self) -> None:
        now_s = self._clock()
        due_s = now_s if self._started_s is None else self._started_s + self._sent_samples / RATE
        if self._started_s is None or now_s - due_s > RESYNC_S:
            self._started_s = now_s - self._sent_samples / RATE
        elif due_s > now_s:
            await asyncio.sleep(due_s - now_s)

    def _is_over(self) -> bool:
        return self._is_ended or self.readyState != "live"

    async def _append(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            self._pass_unheard()
            while len(self._buffer) >= self._max_bytes and not self._is_over():
                self._room.clear()
                try:
                    async with asyncio.timeout(RESYNC_S):
                        await self._room.wait()
                except TimeoutError:
                    self._pass_unheard()
            if self._is_over():
                return
            self._buffer += _pcm(frame)

    def _pass_unheard(self) -> None:
        """Let go of what would have been heard since somebody last listened."""
        now_s = self._clock()
        if self._heard_until_s is None or not self._buffer:
            self._heard_until_s = now_s
            return
        unheard_s = now_s - self._heard_until_s
        if unheard_s >= RESYNC_S:
            del self._buffer[: int(unheard_s * RATE) * BYTES_PER_SAMPLE]
            self._heard_until_s = now_s

    def _frame(self, sound: bytes) -> av.AudioFrame:
        samples = len(sound) // self._input_sample_bytes
        frame = av.AudioFrame(format="s16", layout=self._input_layout, samples=samples)
        frame.planes[0].update(sound.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate = self._input_rate
        return frame

    def _resampled(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampled_shape not in (None, shape):
            self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
        self._resampled_shape = shape
        frame.pts = None
        return list(self._resampler.resample(frame))


def _pcm(frame: av.AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * BYTES_PER_SAMPLE]

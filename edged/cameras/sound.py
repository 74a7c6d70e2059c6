"""A camera's sound as the peer sees it from the start; like the picture's track, what it is made of is loaded late."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit

if TYPE_CHECKING:
    from collections.abc import Callable

    from metered_realtime.media.encoded_audio import EncodedAudioSource

_log = logging.getLogger(__name__)

MIME_TYPES = {"opus": "audio/opus", "pcma": "audio/PCMA", "pcmu": "audio/PCMU"}


@runtime_checkable
class HasSound(Protocol):
    """Pictures that come with sound."""

    @property
    def audio(self) -> AudioFormat | None:
        """What comes; None where there is none that can be used."""

    @property
    def offered(self) -> tuple[tuple[str, str], ...]:
        """All that the camera described: ("video", "H264"), ("audio", "AMR")."""

    def hear(self, take: Callable[[AudioUnit], None]) -> None:
        """Call `take` with every packet from now on."""


class CameraSound:
    """Has the shape that `MeteredPeer.add_stream` takes for a source of readers; `codec` as the settings name it.

    With `may_encode` any other sound that can be decoded becomes Opus, where that is what viewers were promised.
    """

    kind = "audio"

    def __init__(
        self,
        camera: str,
        codec: str,
        *,
        may_encode: bool = False,
        id: str | None = None,  # noqa: A002 - the name the track has in WebRTC
    ) -> None:
        self.id = id or str(uuid.uuid4())
        self.mime_type = MIME_TYPES[codec]
        self._camera = camera
        self._codec = codec
        self._may_encode = may_encode
        self._source: EncodedAudioSource | None = None
        self.fault = ""  # why the open camera is not heard

    def open_reader(self) -> Any:
        """Return a track for one peer. Whoever asks for it has a peer connection, and so has loaded WebRTC."""
        return self._loaded().open_reader()

    def follow(self, pictures: object) -> None:
        """Take the sound of an open camera, if it is the one that viewers were promised."""
        found = pictures.audio if isinstance(pictures, HasSound) else None
        fault = self._fault(found) if found is not None else _why_none(pictures)
        if fault and fault != self.fault:
            _log.warning("camera %s: no sound: %s", self._camera, fault)
        self.fault = fault
        if not fault and found is not None and isinstance(pictures, HasSound):
            pictures.hear(self._taker(found))

    def _taker(self, found: AudioFormat) -> Callable[[AudioUnit], None]:
        take = self._loaded().push
        if found.codec.lower() == self._codec:
            return take
        from edged.cameras.opus import OpusConverter  # noqa: PLC0415 - a sound that is passed through needs no codec

        converter, source = OpusConverter(found, take), self._loaded()

        def convert(unit: AudioUnit) -> None:
            if source.readers:  # a viewer may take the picture alone
                converter.push(unit)

        return convert

    def _fault(self, found: AudioFormat) -> str:
        if self._codec == "opus" and self._may_encode:
            return ""
        if found.codec.lower() != self._codec:
            return f"it sends {found.codec}, not {self._codec}; {_remedy(found)}, or audio: none"
        if self._codec != "opus" and (found.clock_rate, found.channels) != (8000, 1):
            return f"its {found.codec} is not 8000 Hz mono, which is all that browsers play; change it in the camera"
        return ""

    def _loaded(self) -> EncodedAudioSource:
        if self._source is None:
            from metered_realtime.media.encoded_audio import EncodedAudioSource  # noqa: PLC0415 - see the module

            self._source = EncodedAudioSource(self.mime_type, id=self.id)
        return self._source


def _remedy(found: AudioFormat) -> str:
    if found.codec.lower() in MIME_TYPES:
        return f"set audio: {found.codec.lower()}"
    return "set audio: opus with transcode: auto, which encodes it here"


def _why_none(pictures: object) -> str:
    if not isinstance(pictures, HasSound):
        return "it is not taken where the picture is encoded here; choose H.264 in the camera, or set audio: none"
    names = list(dict.fromkeys(name for kind, name in pictures.offered if kind == "audio"))
    if not names:
        return "it sends none; switch it on in the camera, or set audio: none"
    return (
        f"its {' and '.join(names[:4])} could not be taken; choose G.711, Opus or AAC in the camera, or set audio: none"
    )

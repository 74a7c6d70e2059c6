"""Which encoders one stream goes through: hardware where it is wanted, and software under it. Never up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import av

from metered_realtime.media.encoder_search import PIXEL_FORMATS, Trial
from metered_realtime.media.video_settings import AUTO_ENCODER, SOFTWARE_ENCODERS, EncoderSettings


@dataclass(frozen=True, slots=True)
class Rung:
    """An encoder and the formats it is offered pictures in, the first that opens being taken."""

    encoder: str
    pixel_formats: tuple[str, ...]


class Hardware(Protocol):
    """Who knows which encoders of hardware work; asking may take its time."""

    def choice(self) -> Trial | None:
        """The best one; None where there is none."""

    def named(self, encoder: str) -> Trial | None:
        """The one that somebody wants; None where it does not work."""


def ladder(settings: EncoderSettings, hardware: Hardware) -> list[Rung]:
    """Return what to try, in this order. No encoder of hardware is opened that has not been tried elsewhere."""
    known = [name for name in SOFTWARE_ENCODERS[settings.codec] if name in av.codecs_available]
    rungs = [Rung(name, PIXEL_FORMATS[:1]) for name in known or SOFTWARE_ENCODERS[settings.codec][:1]]
    wanted = settings.encoder
    if wanted is None or settings.codec != "H264":
        return rungs
    if wanted in SOFTWARE_ENCODERS[settings.codec]:
        return [Rung(wanted, PIXEL_FORMATS[:1]), *(rung for rung in rungs if rung.encoder != wanted)]
    found = hardware.choice() if wanted == AUTO_ENCODER else hardware.named(wanted)
    return rungs if found is None else [Rung(found.candidate.encoder, (found.pixel_format,)), *rungs]

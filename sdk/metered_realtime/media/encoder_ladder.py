"""Which encoders one stream goes through: hardware where it is wanted, and software under it. Never up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import av

from metered_realtime.media.encoder_search import PIXEL_FORMATS, Trial
from metered_realtime.media.video_settings import AUTO_ENCODER, SOFTWARE_ENCODERS, EncoderSettings


@dataclass(frozen=True, slots=True)
class Rung:
    """An encoder and the formats it is offered pictures in, the first that opens being taken."""

    encoder: str
    pixel_formats: tuple[str, ...]


def ladder(settings: EncoderSettings, hardware: Callable[[], Trial | None]) -> list[Rung]:
    """Return what to try, in this order. `hardware` is asked, and may take its time, only where it is to be found."""
    known = [name for name in SOFTWARE_ENCODERS[settings.codec] if name in av.codecs_available]
    rungs = [Rung(name, PIXEL_FORMATS[:1]) for name in known or SOFTWARE_ENCODERS[settings.codec][:1]]
    if settings.encoder == AUTO_ENCODER:
        found = hardware() if settings.codec == "H264" else None
        return rungs if found is None else [Rung(found.candidate.encoder, (found.pixel_format,)), *rungs]
    if settings.encoder is None:
        return rungs
    if settings.encoder in SOFTWARE_ENCODERS[settings.codec]:
        return [Rung(settings.encoder, PIXEL_FORMATS[:1]), *(r for r in rungs if r.encoder != settings.encoder)]
    return [Rung(settings.encoder, PIXEL_FORMATS), *rungs]

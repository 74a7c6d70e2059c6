"""Which protection of media is cheapest on this processor: AES-GCM with AES instructions, AES-CM without. Pure.

Measured: with the instructions GCM costs a third of CM; without them (Raspberry Pi 3, 4 and Zero 2) it costs more, and
256 bit keys more again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_WITH_AES = (b"SRTP_AEAD_AES_128_GCM", b"SRTP_AEAD_AES_256_GCM", b"SRTP_AES128_CM_SHA1_80")
_WITHOUT_AES = (b"SRTP_AES128_CM_SHA1_80", b"SRTP_AEAD_AES_128_GCM", b"SRTP_AEAD_AES_256_GCM")
_FLAGS = re.compile(r"^(?:flags|Features)\s*:.*\baes\b", re.MULTILINE)


def has_aes(cpuinfo: str) -> bool:
    """Tell whether the processor has AES instructions, from the text of /proc/cpuinfo; an empty one: probably."""
    return not cpuinfo or _FLAGS.search(cpuinfo) is not None


def in_order(profiles: Iterable[Any], *, aes: bool) -> list[Any]:
    """Sort aiortc's profiles by what they cost, the cheapest first; the DTLS server takes the first both have."""
    names = _WITH_AES if aes else _WITHOUT_AES
    return sorted(profiles, key=lambda each: names.index(each.openssl_profile) if each.openssl_profile in names else 9)

"""The cheapest protection first."""

from __future__ import annotations

import pytest
from aiortc.rtcdtlstransport import SRTP_PROFILES

from metered_realtime.srtp_profiles import has_aes, in_order

PI_4 = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n"
PI_5 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics\n"
X86 = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu vme pclmulqdq ssse3 aes xsave avx\nbugs\t\t: none\n"


@pytest.mark.parametrize(("cpuinfo", "expected"), [(PI_4, False), (PI_5, True), (X86, True), ("", True)])
def test_the_instructions_are_read_from_the_kernels_list(cpuinfo: str, expected: bool) -> None:
    assert has_aes(cpuinfo) is expected


def test_a_model_name_is_no_instruction() -> None:
    assert not has_aes("model name\t: aes turbo\nflags\t\t: fpu\n")


def test_the_cheapest_comes_first_and_none_is_lost() -> None:
    with_aes, without = (in_order(SRTP_PROFILES, aes=aes) for aes in (True, False))

    assert [each.openssl_profile for each in with_aes][:1] == [b"SRTP_AEAD_AES_128_GCM"]
    assert [each.openssl_profile for each in without][:1] == [b"SRTP_AES128_CM_SHA1_80"]
    assert len(with_aes) == len(without) == len(SRTP_PROFILES)

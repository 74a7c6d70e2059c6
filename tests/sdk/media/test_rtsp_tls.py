from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from metered_realtime.media.rtsp_tls import RtspTls
from metered_realtime.media.source_errors import SourceDeniedError


def test_a_certificate_is_judged_unless_that_is_switched_off() -> None:
    assert RtspTls().context().verify_mode is ssl.CERT_REQUIRED
    context = RtspTls(verify=False).context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_ffmpeg_which_trusts_everybody_is_told_not_to() -> None:
    assert RtspTls(verify=False).ffmpeg_options() == (("tls_verify", "0"),)
    assert RtspTls(ca_file="/etc/camera.pem").ffmpeg_options() == (("tls_verify", "1"), ("ca_file", "/etc/camera.pem"))
    assert dict(RtspTls().ffmpeg_options())["tls_verify"] == "1"


@pytest.mark.parametrize(("text", "why"), [(None, "No such file"), ("nonsense", "it holds no certificates")])
def test_a_file_without_certificates_is_told(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SourceDeniedError, match=why):
        RtspTls(ca_file=str(file)).context()

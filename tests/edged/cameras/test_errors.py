from __future__ import annotations

import ssl

import pytest

from edged.cameras.errors import owner_error
from edged.settings import CameraSettings, Secret
from metered_realtime.media.rtsp_errors import RtspAuthError, RtspConnectError, RtspError, RtspNotFoundError

REFUSED = RtspAuthError("the camera at 192.168.1.20:554 refused the login", login_given=True)
FORBIDDEN = RtspAuthError("the camera at 192.168.1.20:554 does not let this login see /1", login_given=True)
WANTED = RtspAuthError("the camera at 192.168.1.20:554 wants a login, and none was given", login_given=False)


def settings(**options: str) -> CameraSettings:
    secrets = {key: Secret(options.pop(key)) for key in ("password",) if key in options}
    return CameraSettings(name="yard", source=Secret("rtsp://192.168.1.20/1"), **secrets, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "options", "sentence"),
    [
        (
            REFUSED,
            {"username": "admin", "password": "x", "password_file": "/etc/edged/yard"},
            'the camera at 192.168.1.20:554 refused user "admin": check username and password_file',
        ),
        (
            REFUSED,
            {"username": "admin", "password": "hunter2"},
            'the camera at 192.168.1.20:554 refused user "admin": check username and password',
        ),
        (REFUSED, {}, "the camera at 192.168.1.20:554 refused the login: check the login in source"),
        (
            FORBIDDEN,
            {"username": "guest", "password": "x"},
            'the camera at 192.168.1.20:554 does not let user "guest" see /1: check username and password',
        ),
        (
            WANTED,
            {},
            "the camera at 192.168.1.20:554 wants a login, and none was given: set username and password_file",
        ),
        (RtspNotFoundError("no stream at /x: check the path"), {}, "no stream at /x: check the path"),
    ],
)
def test_each_sentence_names_the_setting_to_change(error: RtspError, options: dict[str, str], sentence: str) -> None:
    told = owner_error(error, settings(**options))
    assert str(told) == sentence
    assert "hunter2" not in str(told)


def test_the_time_to_wait_is_kept() -> None:
    assert owner_error(REFUSED, settings()).retry_after_s == 60
    assert owner_error(RtspConnectError("gone"), settings()).retry_after_s is None


def test_a_certificate_that_is_not_trusted_can_be_given() -> None:
    error = RtspConnectError("the certificate is not accepted")
    error.__cause__ = ssl.SSLCertVerificationError()
    assert str(owner_error(error, settings())) == "the certificate is not accepted; or give it as tls_ca_file"

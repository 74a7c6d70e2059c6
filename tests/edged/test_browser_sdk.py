"""Fetching the browser SDK with a real npm command, or a stand-in for it that behaves badly."""

import hashlib
import io
import stat
import tarfile

import pytest

from edged import browser_sdk
from edged.browser_sdk import BrowserSdkError, cached_file, fetch


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An `npm` on the PATH that runs the given shell lines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def install(script: str) -> None:
        path = folder / "npm"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return install


def archive(path, member, content):
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def test_the_file_is_taken_from_the_package_checked_and_kept(tmp_path, npm, monkeypatch):
    monkeypatch.setattr(browser_sdk, "_SHA256", hashlib.sha256(b"the sdk").hexdigest())
    archive(tmp_path / "sdk.tgz", "package/dist/index.mjs", b"the sdk")
    npm(f'printf "%s " "$@" > {tmp_path}/asked; for last; do :; done; cp {tmp_path}/sdk.tgz "$last"')
    said = []
    assert fetch(said.append).read_bytes() == b"the sdk"
    assert cached_file().parent == tmp_path / "cache" / "edged"
    assert list(cached_file().parent.iterdir()) == [cached_file()]
    assert "--ignore-scripts" in (tmp_path / "asked").read_text()
    assert "@metered-ca/realtime@1.2.0" in said[0]


def test_a_file_that_is_not_the_pinned_one_is_not_used(tmp_path, npm):
    archive(tmp_path / "sdk.tgz", "package/dist/index.mjs", b"something else")
    npm(f'for last; do :; done; cp {tmp_path}/sdk.tgz "$last"')
    with pytest.raises(BrowserSdkError, match="is not the one of @metered-ca"):
        fetch(lambda _: None)
    assert not cached_file().exists()


def test_a_package_without_the_file_is_one_sentence(tmp_path, npm):
    archive(tmp_path / "sdk.tgz", "package/other", b"x")
    npm(f'for last; do :; done; cp {tmp_path}/sdk.tgz "$last"')
    with pytest.raises(BrowserSdkError, match=r"without package/dist/index\.mjs"):
        fetch(lambda _: None)


def test_an_npm_that_fails_is_quoted_in_one_sentence(npm):
    npm("echo; echo 'npm ERR! no network' >&2; exit 1")
    with pytest.raises(
        BrowserSdkError, match=r"npm could not fetch .*: npm ERR! no network; or name the file"
    ) as caught:
        fetch(lambda _: None)
    assert "\n" not in str(caught.value)


def test_an_npm_that_hangs_is_given_up(npm, monkeypatch):
    monkeypatch.setattr(browser_sdk, "_TIMEOUT_S", 0.2)
    npm("exec sleep 60")
    with pytest.raises(BrowserSdkError, match="did not fetch"):
        fetch(lambda _: None)


def test_without_npm_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrowserSdkError, match="install npm, or name the file with --browser-sdk FILE"):
        fetch(lambda _: None)


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, npm, monkeypatch):
    monkeypatch.setattr(browser_sdk, "_SHA256", hashlib.sha256(b"the sdk").hexdigest())
    archive(tmp_path / "sdk.tgz", "package/dist/index.mjs", b"the sdk")
    npm(f'for last; do :; done; cp {tmp_path}/sdk.tgz "$last"')
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BrowserSdkError, match="cannot be written: Not a directory; set XDG_CACHE_HOME"):
        fetch(lambda _: None)

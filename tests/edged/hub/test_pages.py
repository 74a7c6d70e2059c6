"""What browsers get over plain HTTP."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from edged.hub.pages import PAGE_DIR, SDK_PATH, Pages, find_browser_sdk


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    sdk = tmp_path_factory.mktemp("sdk") / "index.mjs"
    sdk.write_text("export const sdk = 1;\n")
    return Pages(sdk)


def test_every_file_of_the_page_is_served_and_no_other(pages: Pages):
    served = {path.name for path in PAGE_DIR.iterdir() if path.is_file()}
    for name in served:
        response = pages.answer(f"/{name}", "", {})
        assert response.status_code == 200
        assert response.body == (PAGE_DIR / name).read_bytes()
        assert response.headers["Content-Length"] == str(len(response.body))
    assert pages.answer("/", "", {}).body == (PAGE_DIR / "index.html").read_bytes()
    assert pages.answer("/index.htm", "", {}).status_code == 404


def test_scripts_have_the_type_that_browsers_insist_on(pages: Pages):
    assert pages.answer("/viewer.js", "", {}).headers["Content-Type"].startswith("text/javascript")
    assert pages.answer(SDK_PATH, "", {}).headers["Content-Type"].startswith("text/javascript")


def test_browser_that_unpacks_gets_it_packed(pages: Pages):
    response = pages.answer("/viewer.js", "br, GZIP", {})

    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.body) == (PAGE_DIR / "viewer.js").read_bytes()


def test_hub_without_the_browser_sdk_says_404_for_it(pages: Pages):
    assert pages.has_browser_sdk
    assert not Pages(None).has_browser_sdk
    assert Pages(None).answer(SDK_PATH, "", {}).status_code == 404


def test_health_is_json(pages: Pages):
    response = pages.answer("/healthz", "gzip", {"status": "ok"})

    assert json.loads(response.body) == {"status": "ok"}
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/", "/viewer.js", "/healthz", "/nothing"])
def test_every_answer_carries_the_security_headers(pages: Pages, path: str):
    headers = pages.answer(path, "", {}).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


def test_page_asks_nobody_else_and_writes_no_html():
    for file in PAGE_DIR.glob("*.*"):
        source = file.read_text()
        hosts = set(re.findall(r"https?://([^/\"'\s]+)", source)) - {"www.w3.org"}
        assert not hosts, f"{file.name} names {hosts}"
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|getUserMedia", source)
    index = (PAGE_DIR / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style|\bstyle=", index)


def test_browser_sdk_is_found_where_it_is_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given = tmp_path / "given.mjs"
    given.write_text("")
    assert find_browser_sdk(str(given)) == given
    with pytest.raises(FileNotFoundError):
        find_browser_sdk(str(tmp_path / "missing.mjs"))

    monkeypatch.setattr("edged.hub.pages.PAGE_DIR", tmp_path / "page")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_browser_sdk() is None
    for folder in ("cache/edged", "page/vendor"):
        file = tmp_path / folder / "metered-realtime.mjs"
        file.parent.mkdir(parents=True)
        file.write_text("")
        assert find_browser_sdk() == file

"""Metrics over HTTP: for this machine, for reading, and for nobody who comes by a name of their own."""

import asyncio
import re
import socket
import urllib.request

import pytest

from edged.status.http import CONTENT_TYPE, MetricsServer, StatusHttpError, response


def said(head, metrics="a 1\n"):
    head_bytes, _, body = response(head.encode(), lambda: metrics).partition(b"\r\n\r\n")
    return head_bytes.decode().split("\r\n", 1)[0].removeprefix("HTTP/1.1 "), head_bytes.decode(), body.decode()


def asking(line, host="127.0.0.1:9555"):
    return f"{line}\r\nHost: {host}\r\nAccept: */*\r\n\r\n"


def test_metrics_are_given_with_their_type_and_length():
    status, head, body = said(asking("GET /metrics HTTP/1.1"))
    assert status == "200 OK"
    assert f"Content-Type: {CONTENT_TYPE}" in head
    assert "Content-Length: 4" in head
    assert body == "a 1\n"


def test_a_query_is_ignored_and_head_has_no_body():
    assert said(asking("GET /metrics?x=1 HTTP/1.1"))[0] == "200 OK"
    status, head, body = said(asking("HEAD /metrics HTTP/1.1"))
    assert (status, body) == ("200 OK", "")
    assert "Content-Length: 4" in head


@pytest.mark.parametrize(
    ("line", "status"),
    [("POST /metrics HTTP/1.1", "405 Method Not Allowed"), ("GET / HTTP/1.1", "404 Not Found"),
     ("GET /metrics/../etc/passwd HTTP/1.1", "404 Not Found"), ("", "405 Method Not Allowed")],
)  # fmt: skip
def test_nothing_else_is_served(line, status):
    assert said(asking(line))[0] == status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9555", "[::1]:9555", "LOCALHOST"])
def test_names_of_this_machine_are_ours(host):
    assert said(asking("GET /metrics HTTP/1.1", host))[0] == "200 OK"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "127.0.0.1@evil.example"])
def test_a_web_page_that_points_its_own_name_at_us_is_refused(host):
    assert said(asking("GET /metrics HTTP/1.1", host))[0] == "403 Forbidden"


def test_no_host_or_two_are_refused():
    assert said("GET /metrics HTTP/1.1\r\n\r\n")[0] == "403 Forbidden"
    assert said("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")[0] == "403 Forbidden"


async def test_a_real_client_reads_them():
    server = MetricsServer("127.0.0.1:0", lambda: "a 1\n")
    up = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server.serve(up.set_result))
    try:
        url = re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", await up)[0]
        with await asyncio.to_thread(urllib.request.urlopen, url, timeout=10) as answer:
            assert answer.read() == b"a 1\n"
            assert answer.headers["Content-Type"] == CONTENT_TYPE
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_port_that_is_taken_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            StatusHttpError, match=f"cannot listen on 127.0.0.1:{port} .*: set status.http to a free port"
        ):
            await MetricsServer(f"127.0.0.1:{port}", str).serve(lambda _detail: None)

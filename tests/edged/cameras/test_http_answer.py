from __future__ import annotations

import pytest

from edged.cameras.http_answer import HttpAnswer, HttpError, post, read_answer

OK = b"HTTP/1.1 200 OK\r\nX: 1\r\nx: 2\r\n"


def test_a_request_names_its_host_and_length_and_ends_with_the_connection() -> None:
    text = post("cam:80", "/onvif", b"<a/>", {"Content-Type": "text/xml"})
    head, _, body = text.partition(b"\r\n\r\n")
    assert body == b"<a/>"
    assert head.split(b"\r\n") == [
        b"POST /onvif HTTP/1.1",
        b"Host: cam:80",
        b"Connection: close",
        b"Content-Length: 4",
        b"Content-Type: text/xml",
    ]
    with pytest.raises(HttpError, match="line break"):
        post("cam\r\nX: 1", "/", b"", {})


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 4\r\n\r\nbodymore",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;name=x\r\ndy\r\n0\r\n\r\n",
        b"\r\nbody",
    ],
)
def test_an_answer_comes_in_pieces_of_any_size(body: bytes) -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + OK + body
    whole = HttpAnswer(200, {}, b"body")
    for size in range(len(data)):
        early = read_answer(data[:size], is_end=False)
        assert early is None or early.body == b"body"
    answer = read_answer(data, is_end=True)
    assert answer is not None
    assert (answer.status, answer.body) == (whole.status, whole.body)
    assert answer.headers["x"] == ("1", "2")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"\r\n\r\n",
        OK + b"Content-Length: -4\r\n\r\nbody",
        OK + b"Content-Length: 9999999999999\r\n\r\nbody",
        OK + b"Content-Length: 40\r\n\r\nbody",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nbody",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\nbody",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nbody",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 4096 + b"0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbo",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(HttpError):
        read_answer(data, is_end=True)

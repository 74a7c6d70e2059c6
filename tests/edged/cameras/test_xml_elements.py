from __future__ import annotations

import pytest

from edged.cameras.xml_elements import MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, XmlError, read_xml

BILLION_LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>'
OUTSIDE = b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><l>&a;</l>'


def test_elements_come_in_the_order_in_which_they_begin_with_local_names() -> None:
    elements = read_xml(b'<s:a xmlns:s="urn:s"><s:b s:k="1" l="2"> one &amp; two </s:b><c><![CDATA[<3>]]></c></s:a>')
    assert [(one.path, one.text) for one in elements] == [
        (("a",), ""),
        (("a", "b"), "one & two"),
        (("a", "c"), "<3>"),
    ]
    assert elements[1].attributes == {"k": "1", "l": "2"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is no XML"),
        (b"<a>", "it is no XML"),
        (b"<a/><b/>", "it is no XML"),
        (b"\xff\xfe<\x00", "it is no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "unknown alphabet|it is no XML"),
        (b"<a>&undefined;</a>", "it is no XML"),
        (BILLION_LAUGHS, "declares a document type"),
        (OUTSIDE, "declares a document type"),
        (BILLION_LAUGHS.decode().encode("utf-16"), "declares a document type"),
        (b"<a>" * (MAX_DEPTH + 1), "more elements, or deeper ones"),
        (b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>", "more elements, or deeper ones"),
        (b" " * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_nobody_sends_who_means_well_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(XmlError, match=says):
        read_xml(data)

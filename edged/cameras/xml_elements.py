"""XML of a stranger as a flat list of elements: no entities, no document types, bounded depth and size. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

MAX_DEPTH = 32
MAX_ELEMENTS = 10_000
MAX_BYTES = 256 * 1024


class XmlError(ValueError):
    """The text is no XML, or more than anybody sends who means well."""


@dataclass(slots=True)
class Element:
    """One element; `path` holds local names from the root on, namespaces left out."""

    path: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def name(self) -> str:
        """Its own local name."""
        return self.path[-1]


def read_xml(data: bytes) -> list[Element]:
    """Return the elements in the order in which they begin. Raises XmlError."""
    if len(data) > MAX_BYTES:
        raise XmlError(f"it is larger than {MAX_BYTES} bytes")
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise XmlError(f"it is no XML: {expat.errors.messages[error.code]}") from None
    except (LookupError, ValueError) as error:
        raise error if isinstance(error, XmlError) else XmlError("it is written in an unknown alphabet") from None
    return reader.elements


class _Reader:
    def __init__(self) -> None:
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = _refuse
        self.parser.EntityDeclHandler = _refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH or len(self.elements) >= MAX_ELEMENTS:
            raise XmlError("it has more elements, or deeper ones, than any answer")
        path = self._open[-1].path if self._open else ()
        local = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        element = Element((*path, name.rpartition(" ")[2]), local)
        self.elements.append(element)
        self._open.append(element)

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()

    def _text(self, text: str) -> None:
        self._open[-1].text += text


def _refuse(*_: object) -> NoReturn:
    raise XmlError("it declares a document type, which no answer does")

"""The status as a page of text: parts, then whatever figures there are, then the account. Pure.

Figures are not known by name here: named groups of figures become a table, single ones a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edged.status.document import TROUBLE, Document
from edged.status.words import NOTHING, printable, span, titled, worded

_MIN_LAST_COLUMN = 16
_LABEL = 11
_GAP = 2
_RED, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
# The account has a line of its own.
_TOLD_ELSEWHERE = frozenset({"received", "delivered", "waiting", "dropped", "most_received", "this_life"})


def page(document: Document, *, width: int | None = None, colour: bool = False) -> str:
    """Return the page; `width` is the terminal's, None where lines may be of any length."""
    paint = _paint if colour else _leave
    name, uptime = paint(document["gateway"], _BOLD), span(document["uptime_s"])
    lines = [f"edged {document['version']}, gateway {name}, running for {uptime} (pid {document['pid']})"]
    lines += _parts(document["parts"], width, paint)
    for name, figures in document["figures"].items():
        lines += _figures(name, figures, width)
    lines += _account(document["account"], paint)
    if document["trouble"]:
        lines += ["", paint("trouble: " + printable("; ".join(document["trouble"])), _RED)]
    return "\n".join(lines) + "\n"


def _parts(parts: Sequence[Mapping[str, Any]], width: int | None, paint: Any) -> Iterator[str]:
    rows = [
        [printable(part["name"]), part["state"], span(part["for_s"]), printable(part["detail"]) or NOTHING]
        for part in parts
    ]
    start = max(len(cell) for cell in ["part", *(row[0] for row in rows)]) + _GAP

    def tinted(row: Sequence[str], line: str) -> str:
        colour = _RED if row[1] in TROUBLE else _GREEN if row[1] == "live" else ""
        end = start + len(row[1])
        return line[:start] + paint(line[start:end], colour) + line[end:] if colour else line

    yield from _table(["part", "state", "for", "detail"], rows, width, tinted)


def _figures(name: str, figures: Mapping[str, Any], width: int | None) -> Iterator[str]:
    told = _TOLD_ELSEWHERE if name == "telemetry" else frozenset()
    several = {key: value for key, value in figures.items() if key not in told and _is_several(value)}
    single = {key: value for key, value in figures.items() if key not in told and key not in several}
    if several and not single:
        columns = list(dict.fromkeys(key for member in several.values() for key in member))
        rows = [
            [printable(key), *(worded(column, member.get(column)) for column in columns)]
            for key, member in several.items()
        ]
        yield from _table([name.removesuffix("s"), *(titled(column) for column in columns)], rows, width)
        return
    told_of = [f"{titled(key)} {worded(key, value)}" for key, value in single.items() if value not in (None, "")]
    if told_of:
        yield from _wrapped(name, told_of, width)
    for key, inner in several.items():
        yield from _figures(key, inner, width)


def _is_several(value: Any) -> bool:
    """Tell several figures (of a camera, a route) from one figure by reason, which are numbers all."""
    return isinstance(value, Mapping) and any(not isinstance(inner, int | float) for inner in value.values())


def _account(account: Mapping[str, Any] | None, paint: Any) -> Iterator[str]:
    if account is None:
        return
    reasons = ", ".join(f"{printable(reason)} {count:,}" for reason, count in account["dropped_by_reason"].items())
    yield ""
    yield (
        f"{'account':<{_LABEL}}received {account['received']:,} = delivered {account['delivered']:,} + waiting "
        f"{account['waiting']:,} + dropped {account['dropped']:,}" + (f" ({reasons})" if reasons else "")
    )
    if account["unexplained"]:
        yield paint(
            f"{'':<{_LABEL}}THIS DOES NOT ADD UP: {account['unexplained']:,} messages are unaccounted for; report it",
            _RED,
        )


def _table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, finish: Any = None
) -> Iterator[str]:
    if not rows:
        return
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    if width is not None:
        widths[-1] = max(_MIN_LAST_COLUMN, min(widths[-1], width - sum(widths[:-1]) - _GAP * (len(widths) - 1)))
    yield ""
    yield _line([title.upper() for title in titles], widths)
    for row in rows:
        line = _line(row, widths)
        yield line if finish is None else finish(row, line)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(_cut(cell, width).ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 3] + "..."


def _wrapped(name: str, phrases: Sequence[str], width: int | None) -> Iterator[str]:
    """A label and a sentence of phrases, broken between them."""
    yield ""
    room = None if width is None else max(20, width - _LABEL)
    label, line = name.ljust(_LABEL - 1) + " ", ""
    for index, phrase in enumerate(phrases):
        piece = phrase + (", " if index + 1 < len(phrases) else "")
        if room is not None and line and len(line) + len(piece.rstrip()) > room:
            yield (label + line).rstrip()
            label, line = " " * _LABEL, ""
        line += piece
    yield label + line


def _paint(words: str, colour: str) -> str:
    return f"{colour}{words}{_PLAIN}"


def _leave(words: str, _colour: str) -> str:
    return words

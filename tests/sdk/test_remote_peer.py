"""What the application sees of another member."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.remote_peer import RemotePeer


def made(**more: Any) -> tuple[RemotePeer, list[Any]]:
    calls: list[Any] = []

    async def send(data: Any) -> None:
        calls.append(data)

    link: Any = SimpleNamespace(
        state="idle", link=None, metadata={"name": "x"}, polite=True, pc="pc", send=send,
        create_data_channel=lambda label, **parameters: (label, parameters), **more,
    )  # fmt: skip
    return RemotePeer("id", link), calls


async def test_it_shows_what_the_link_knows() -> None:
    remote, calls = made()
    assert (remote.id, remote.state, remote.metadata, remote.polite, remote.pc) == (
        "id", "idle", {"name": "x"}, True, "pc",
    )  # fmt: skip
    await remote.send({"a": 1})
    assert calls == [{"a": 1}]
    assert remote.create_data_channel("x", ordered=False) == ("x", {"ordered": False})
    assert "id" in repr(remote)


async def test_a_peer_that_left_takes_nothing() -> None:
    remote, _ = made()
    remote._link.state = "closed"
    with pytest.raises(MeteredRealtimeError, match="left"):
        await remote.send(1)
    with pytest.raises(MeteredRealtimeError, match="left"):
        remote.create_data_channel("x")

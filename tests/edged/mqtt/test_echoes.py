"""Own publications that an older broker brings back."""

from __future__ import annotations

import pytest

from edged.mqtt.echoes import Echoes


@pytest.fixture
def echoes():
    return Echoes()


def test_what_we_published_is_recognised_once(echoes):
    echoes.published("t", b"on", 0.0)
    assert [echoes.is_echo("t", b"on", 1.0) for _ in range(2)] == [True, False]


def test_published_twice_comes_back_twice(echoes):
    echoes.published("t", b"on", 0.0)
    echoes.published("t", b"on", 1.0)
    assert [echoes.is_echo("t", b"on", 2.0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("topic", "payload"), [("u", b"on"), ("t", b"off")])
def test_anything_else_is_somebody_elses(echoes, topic, payload):
    assert not echoes.is_echo(topic, payload, 0.0)
    echoes.published("t", b"on", 0.0)
    assert not echoes.is_echo(topic, payload, 0.0)


def test_after_a_while_the_same_words_are_somebody_elses(echoes):
    echoes.published("t", b"on", 0.0)
    assert not echoes.is_echo("t", b"on", 31.0)
    assert not echoes.is_echo("t", b"on", 1.0)


def test_memory_is_bounded(echoes):
    for number in range(300):
        echoes.published("t", str(number).encode(), 0.0)
    assert not echoes.is_echo("t", b"0", 0.0)
    assert echoes.is_echo("t", b"299", 0.0)

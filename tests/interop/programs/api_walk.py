"""Walks the public API of `metered_realtime` and prints it as JSON: the tests run it under the official SDK and ours.

Two peers join a channel of the hub, because some objects are only ever made by the package itself.
One entry a name (`MeteredPeer`, `MeteredPeer.join`, `Connected.peer_id`); what each entry says is in `describe_*`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import inspect
import json
import sys
import tempfile
import typing
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import metered_realtime as sdk

API = dict[str, dict[str, Any]]
# Made by the package alone: no program calls these, so what they are made of is no part of the API.
MADE_BY_PACKAGE = ("RemotePeer", "events()")
PROTOCOLS = ("__aenter__", "__aexit__", "__aiter__", "__anext__")
OBJECT = set(dir(object))
# What errors are made of, by the name of the parameter.
SAMPLES = {
    "close_code": 4001, "close_reason": "no", "code": "not_joined", "request_id": "1", "timeout": 15.0, "size": 2,
    "cap": 1, "method": "join", "message": "words", "current_state": "idle", "queued": 2, "succeeded": (), "failed": (),
    "attempts": 9, "unit": "bytes", "reason": "words",
}  # fmt: skip


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def is_public(name: str) -> bool:
    return not name.startswith("_")


def describe_value(value: Any) -> str:
    if isinstance(value, type):
        return value.__name__
    return repr(value) if isinstance(value, str | int | float | bool | tuple | None) else type(value).__name__


def describe_parameters(function: Any) -> list[dict[str, Any]]:
    """Every parameter but those that begin with an underscore: these are the packages' own."""
    if isinstance(function, type) and function.__init__ is Exception.__init__:
        return [{"name": "args", "kind": "VAR_POSITIONAL", "default": None}]  # inspect knows no signature of it
    return [
        {
            "name": parameter.name,
            "kind": parameter.kind.name,
            "default": None if parameter.default is parameter.empty else describe_value(parameter.default),
        }
        for parameter in inspect.signature(function).parameters.values()
        if is_public(parameter.name)
    ]


def describe_function(function: Any) -> dict[str, Any]:
    kinds = {"coroutine function": inspect.iscoroutinefunction, "async generator": inspect.isasyncgenfunction}
    kind = next((name for name, is_kind in kinds.items() if is_kind(function)), "function")
    return {"kind": kind, "parameters": describe_parameters(function)}


def describe_member(member: Any) -> dict[str, Any]:
    if inspect.isfunction(member):
        return describe_function(member)
    if isinstance(member, staticmethod | classmethod):
        return describe_function(member.__func__)
    if isinstance(member, property) or inspect.isdatadescriptor(member):
        return {"kind": "attribute"}
    return {"kind": "attribute", "value": describe_value(member)}


def members_of(cls: type) -> Iterator[str]:
    """What of a class a program may use, without what Python itself gives to objects and errors."""
    python = OBJECT | (set(dir(BaseException)) if issubclass(cls, BaseException) else set())
    return (name for name in dir(cls) if (is_public(name) or name in PROTOCOLS) and name not in python)


def describe_class(name: str, cls: type) -> API:
    bases = [base for base in cls.__mro__[1:-1] if is_foreign(base) or base.__name__ in sdk.__all__]
    entry: dict[str, Any] = {"kind": "class", "bases": [base.__name__ for base in bases]}
    if issubclass(cls, enum.Enum):
        return {name: entry, **{f"{name}.{item.name}": {"kind": "enum", "value": repr(item.value)} for item in cls}}
    if name not in MADE_BY_PACKAGE and not getattr(cls, "_is_protocol", False):
        entry["parameters"] = describe_parameters(cls)
    if dataclasses.is_dataclass(cls):
        flags = ("init", "eq", "order", "frozen")
        entry["dataclass"] = {flag: getattr(cls.__dataclass_params__, flag) for flag in flags}
        entry["match"] = list(cls.__match_args__)
        fields = {field.name: {"kind": "attribute"} for field in dataclasses.fields(cls)}
    else:
        fields = {}
    found = {member: describe_member(inspect.getattr_static(cls, member)) for member in members_of(cls)}
    return {name: entry, **{f"{name}.{member}": what for member, what in {**found, **fields}.items()}}


def is_foreign(cls: type) -> bool:
    return cls.__module__.partition(".")[0] not in ("metered_realtime", "typing", "enum", "abc")


def describe_name(name: str, value: Any) -> API:
    if isinstance(value, type) and not typing.get_origin(value):
        return describe_class(name, value)
    if inspect.isfunction(value):
        return {name: describe_function(value)}
    if typing.get_origin(value) is typing.Literal:
        return {name: {"kind": "literal", "values": sorted(typing.get_args(value))}}
    if typing.get_origin(value) is not None:
        return {name: {"kind": "alias", "value": str(value).replace("collections.abc.", "").replace("typing.", "")}}
    return {name: {"kind": "constant", "value": repr(value)}}


def describe_instance(name: str, value: Any) -> API:
    """What an object has beyond its class."""
    own = {attribute: type(found).__name__ for attribute, found in getattr(value, "__dict__", {}).items()}
    seen = {attribute for attribute in own if is_public(attribute)} - set(dir(type(value)))
    return {f"{name}.{attribute}": {"kind": "attribute"} for attribute in seen}


def describe_error(name: str, cls: type[BaseException]) -> API:
    """Make one; its attributes must say what it was made of."""
    given = {parameter["name"]: parameter["kind"] for parameter in describe_parameters(cls)}
    error = cls(**{parameter: SAMPLES[parameter] for parameter, kind in given.items() if kind != "VAR_POSITIONAL"})
    return {
        f"{name}.{attribute}": {"kind": "attribute", "value": describe_value(value)}
        for attribute, value in vars(error).items()
        if is_public(attribute)
    }


def describe_names() -> API:
    api: API = {}
    for name in sdk.__all__:
        value = getattr(sdk, name)
        api |= describe_name(name, value)
        if isinstance(value, type) and issubclass(value, Exception):
            api |= describe_error(name, value)
    return api


async def describe_objects(options: dict[str, str]) -> tuple[API, API]:
    """Return what instances of public classes have, and objects whose class has no public name."""
    exported: API = {}
    reached: API = {}
    address = {"api_key": options["key"], "url": options["url"]}
    first, second = sdk.MeteredPeer(**address), sdk.MeteredPeer(**address)
    async with first.joined(options["channel"]) as inside, second, first.events(sdk.PeerJoined) as arrivals:
        assert inside is first
        reached |= describe_class("events()", type(arrivals))
        await second.join(options["channel"])
        remote = (await anext(arrivals)).peer
        raw = remote.create_data_channel("walk", ordered=False)
        instances = {
            "MeteredPeer": first,
            "RemotePeer": remote,
            "SignallingClient": sdk.SignallingClient(**address),
            "DataChannel": sdk.DataChannel(raw),
            "MediaStream": sdk.MediaStream(id="camera"),
            "AudioSource": sdk.AudioSource(),
            "StdlibLogger": sdk.StdlibLogger(),
        }
        for name, value in instances.items():
            exported |= describe_instance(name, value)
        reached |= describe_player()
        reached["AudioSource() track"] = {"kind": "attribute", "value": instances["AudioSource"].kind}
    return exported, reached


def describe_player() -> API:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sound.wav")
        with wave.open(str(file), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(1600))
        player = sdk.from_file(str(file))
        kinds = {"audio": player.audio.kind, "video": player.video}
        player.audio.stop()
    return {f"from_file().{name}": {"kind": "attribute", "value": kind} for name, kind in kinds.items()}


async def main() -> None:
    say("ready", version=sdk.__version__)
    exported, reached = await describe_objects(json.loads(sys.argv[1]))
    say("api", exported={**exported, **describe_names()}, reached=reached)


asyncio.run(main())

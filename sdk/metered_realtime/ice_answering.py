"""Checks of the other side: which of them are answered, and how (RFC 8445 section 7.3, RFC 8489 section 9.1.3)."""

from __future__ import annotations

from collections.abc import Iterable

from aioice import stun

from metered_realtime.ice_generation import IceGeneration, Role
from metered_realtime.ice_repeats import RepeatedCheck
from metered_realtime.ice_socket import Address, IceSocket

_BAD_REQUEST = (400, "Bad Request")
_UNAUTHENTICATED = (401, "Unauthenticated")
_ROLE_CONFLICT = (487, "Role Conflict")


def answer_check(
    message: stun.Message, addr: Address, ice_socket: IceSocket, generations: Iterable[IceGeneration], role: Role
) -> None:
    """Answer a check, and tell the generation whose credentials it has of it."""
    attributes = message.attributes
    if message.message_method is not stun.Method.BINDING or not {"MESSAGE-INTEGRITY", "USERNAME"} <= attributes.keys():
        _refuse(message, addr, ice_socket, _BAD_REQUEST, None)
        return
    generation = _addressed(attributes["USERNAME"], generations)
    if generation is None or not message.check_message_integrity(generation.local_pwd.encode()):
        _refuse(message, addr, ice_socket, _UNAUTHENTICATED, None)
    elif _must_switch(message, role):
        _refuse(message, addr, ice_socket, _ROLE_CONFLICT, generation.local_pwd)
    else:
        response = stun.Message(message.message_method, stun.Class.RESPONSE, message.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = addr
        response.add_message_integrity(generation.local_pwd.encode())
        ice_socket.send_stun(response, addr)
        generation.take_check(message, addr, ice_socket)
        pair = generation.selected
        if pair is not None and pair.protocol is ice_socket and pair.remote_addr == addr:
            is_nominating = "USE-CANDIDATE" in attributes and not role.is_controlling
            ice_socket.repeated = RepeatedCheck(
                ice_socket.received_check, generation, pair, is_nominating=is_nominating
            )


def _addressed(username: str, generations: Iterable[IceGeneration]) -> IceGeneration | None:
    local, _, remote = username.partition(":")
    for generation in generations:
        if generation.local_ufrag == local:
            return generation if generation.remote_ufrag in (None, remote) else None
    return None


def _must_switch(message: stun.Message, role: Role) -> bool:
    """Tell whether the other side must take the other role; take it ourselves if that is what the numbers say."""
    theirs = message.attributes.get("ICE-CONTROLLING" if role.is_controlling else "ICE-CONTROLLED")
    if theirs is None:
        return False
    we_control = role.tie_breaker >= theirs
    if we_control == role.is_controlling:
        return True
    role.is_controlling = we_control
    return False


def _refuse(
    message: stun.Message, addr: Address, ice_socket: IceSocket, error: tuple[int, str], pwd: str | None
) -> None:
    response = stun.Message(message.message_method, stun.Class.ERROR, message.transaction_id)
    response.attributes["ERROR-CODE"] = error
    if pwd is None:
        response.add_fingerprint()
    else:
        response.add_message_integrity(pwd.encode())
    ice_socket.send_stun(response, addr)

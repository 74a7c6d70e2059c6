"""The wire protocol: text of every frame between client and service, and shape of every envelope between peers.

Pure. `encode` makes the JSON text of a frame; `decode_server_frame` and `decode_client_frame` read hostile text and
raise nothing but `WireError`; `parse_envelope` never raises. Section numbers are those of the protocol description.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from metered_realtime.frames import (
    DEFAULT_MAX_MESSAGE_BYTES,
    MAX_CHANNEL_CHARS,
    MAX_INBOUND_BYTES,
    MAX_PEER_ID_CHARS,
    MAX_REQUEST_ID_CHARS,
    MAX_RETRY_AFTER_MS,
    RESERVED_CHANNEL_PREFIXES,
    TRACK_METADATA_KEY,
    Ack,
    ClientFrame,
    Description,
    Direct,
    Envelope,
    Error,
    ErrorCode,
    GoingAway,
    IceCandidate,
    Message,
    Ping,
    Pong,
    Presence,
    PresencePeer,
    Publish,
    Send,
    ServerFrame,
    Subscribe,
    TrackMetadata,
    Unsubscribe,
    Welcome,
    WsCloseCode,
    check_channel,
    check_peer_id,
    check_request_id,
    is_reserved_channel,
)
from metered_realtime.json_text import MAX_DEPTH, JsonError, JsonText, dumps, json_size, loads

__all__ = [
    "DEFAULT_MAX_MESSAGE_BYTES", "MAX_CHANNEL_CHARS", "MAX_DEPTH", "MAX_INBOUND_BYTES", "MAX_PEER_ID_CHARS",
    "MAX_REQUEST_ID_CHARS", "MAX_RETRY_AFTER_MS", "RESERVED_CHANNEL_PREFIXES", "TRACK_METADATA_KEY",
    "Ack", "ClientFrame", "Description", "Direct", "Envelope", "Error", "ErrorCode", "GoingAway", "IceCandidate",
    "Message", "Ping", "Pong", "Presence", "PresencePeer", "Publish", "Send", "ServerFrame", "Subscribe",
    "TrackMetadata", "Unsubscribe", "Welcome", "WireError", "WsCloseCode", "check_channel", "check_peer_id",
    "check_request_id", "decode_client_frame", "decode_server_frame", "dumps", "encode", "envelope_data",
    "is_reserved_channel", "json_size", "loads", "parse_envelope",
]  # fmt: skip

MAX_METADATA_ID_CHARS = 256


class WireError(ValueError):
    """A frame that breaks the protocol. `code` is an error code of section 9; `request_id` the sender's, if known."""

    def __init__(self, code: ErrorCode, message: str, request_id: str | None = None) -> None:
        self.code: ErrorCode = code
        self.request_id = request_id
        super().__init__(message)


# Encode -------------------------------------------------------------------------------------------


def encode(frame: ClientFrame | ServerFrame) -> str:
    """Return the JSON text of a frame, keys in the order the official clients write them.

    Raises TypeError or ValueError where `data` or `metadata` is not JSON.
    """
    fields = _fields(frame)
    if isinstance(fields.get("data"), JsonText):
        return "{" + ",".join([f'"{key}":{dumps(value)}' for key, value in fields.items()]) + "}"
    return dumps(fields)


def _fields(frame: ClientFrame | ServerFrame) -> dict[str, Any]:
    match frame:
        case Subscribe():
            flag = {"includeSenderMetadata": True} if frame.include_sender_metadata else {}
            return {"type": "subscribe", "channel": frame.channel, **_request(frame.request_id), **flag}
        case Unsubscribe():
            return {"type": "unsubscribe", "channel": frame.channel, **_request(frame.request_id)}
        case Publish():
            return {
                "type": "publish",
                "channel": frame.channel,
                "data": frame.data,
                **_request(frame.request_id),
            }
        case Send():
            return {"type": "send", "to": frame.to, "data": frame.data, **_request(frame.request_id)}
        case Ping():
            return {"type": "ping", **_request(frame.request_id)}
        case Ack():
            return {"type": "ack", "requestId": frame.request_id}
        case Error():
            text = {} if frame.message is None else {"message": frame.message}
            return {"type": "error", **_request(frame.request_id), "code": frame.code, **text}
        case Message():
            head = {"type": "message", "channel": frame.channel, "from": frame.from_peer, "data": frame.data}
            return head | _metadata("fromMetadata", frame.from_metadata)
        case Direct():
            head = {"type": "direct", "from": frame.from_peer, "data": frame.data}
            return head | _metadata("fromMetadata", frame.from_metadata)
        case Presence():
            joined, left = ([_member(peer) for peer in peers] for peers in (frame.joined, frame.left))
            return {"type": "presence", "channel": frame.channel, "joined": joined, "left": left}
        case Welcome():
            return {
                "type": "welcome",
                "peerId": frame.peer_id,
                "expiresAt": frame.expires_at,
                "serverTime": frame.server_time,
                "maxMessageSize": frame.max_message_size,
                **_metadata("metadata", frame.metadata),
            }
        case GoingAway():
            return {"type": "going_away", "retryAfterMs": frame.retry_after_ms}
        case Pong():
            return {"type": "pong"}


def _request(request_id: str | None) -> dict[str, Any]:
    return {} if request_id is None else {"requestId": request_id}


def _metadata(key: str, metadata: dict[str, Any] | None) -> dict[str, Any]:
    return {} if metadata is None else {key: metadata}


def _member(peer: PresencePeer) -> dict[str, Any]:
    return {"peerId": peer.peer_id, **_metadata("metadata", peer.metadata)}


# Decode: what a service reads ---------------------------------------------------------------------


def decode_client_frame(text: str) -> ClientFrame:
    """Read a frame from a client. Raises WireError with the code to answer (section 9) and the request id."""
    fields = _object(text)
    request_id = fields.get("requestId")
    if request_id is not None:
        try:
            check_request_id(request_id)
        except (TypeError, ValueError) as error:
            raise WireError("malformed_message", str(error)) from None
    match fields["type"]:
        case "subscribe":
            flag = fields.get("includeSenderMetadata", False)
            if not isinstance(flag, bool):
                raise WireError("malformed_message", "includeSenderMetadata must be true or false", request_id)
            return Subscribe(_channel(fields, request_id), request_id, flag)
        case "unsubscribe":
            return Unsubscribe(_channel(fields, request_id), request_id)
        case "publish":
            return Publish(_channel(fields, request_id), _data(fields, request_id), request_id)
        case "send":
            try:
                to = check_peer_id(fields.get("to"))
            except (TypeError, ValueError) as error:
                raise WireError("invalid_peer_id", str(error), request_id) from None
            return Send(to, _data(fields, request_id), request_id)
        case "ping":
            return Ping(request_id)
    raise WireError("unknown_type", "unknown type of message", request_id)


def _channel(fields: dict[str, Any], request_id: str | None) -> str:
    try:
        return check_channel(fields.get("channel"))
    except (TypeError, ValueError) as error:
        raise WireError("invalid_channel", str(error), request_id) from None


def _data(fields: dict[str, Any], request_id: str | None) -> Any:
    if "data" not in fields:
        raise WireError("missing_data", "data is missing", request_id)
    return fields["data"]


# Decode: what a client reads ----------------------------------------------------------------------


def decode_server_frame(text: str) -> ServerFrame:
    """Read a frame from the service, as strictly as the stricter official client. Raises WireError."""
    fields = _object(text)
    match fields["type"]:
        case "ack":
            return Ack(_string(fields, "requestId"))
        case "message":
            return Message(
                _string(fields, "channel"), _string(fields, "from"), _data(fields, None),
                _dict_or_none(fields.get("fromMetadata")),
            )  # fmt: skip
        case "direct":
            return Direct(_string(fields, "from"), _data(fields, None), _dict_or_none(fields.get("fromMetadata")))
        case "presence":
            return Presence(_string(fields, "channel"), _members(fields, "joined"), _members(fields, "left"))
        case "error":
            code, request_id, message = (
                _string(fields, "code"),
                fields.get("requestId"),
                fields.get("message"),
            )
            if not code:
                raise WireError("malformed_message", "error.code is empty")
            return Error(
                code,
                request_id if isinstance(request_id, str) else None,
                message if isinstance(message, str) else None,
            )
        case "pong":
            return Pong()
        case "welcome":
            return _welcome(fields)
        case "going_away":
            return GoingAway(_retry_after_ms(fields.get("retryAfterMs")))
    raise WireError("unknown_type", "unknown type of frame")


def _welcome(fields: dict[str, Any]) -> Welcome:
    expires_at = fields.get("expiresAt", "missing")
    if expires_at is not None and not _is_number(expires_at):
        raise WireError("malformed_message", "welcome.expiresAt must be a number or null")
    size = _number(fields, "maxMessageSize")
    if size < 1:
        raise WireError("malformed_message", "welcome.maxMessageSize must be positive")
    return Welcome(
        peer_id=_string(fields, "peerId"),
        expires_at=None if expires_at is None else int(expires_at),
        server_time=int(_number(fields, "serverTime")),
        max_message_size=int(size),
        metadata=_dict_or_none(fields.get("metadata")),
    )


def _retry_after_ms(value: Any) -> int:
    return min(int(value), MAX_RETRY_AFTER_MS) if _is_number(value) and value > 0 else 1000


def _object(text: str) -> dict[str, Any]:
    try:
        fields = loads(text)
    except JsonError as error:
        raise WireError("malformed_message", str(error)) from None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise WireError("malformed_message", "a frame must be a JSON object with a string type")
    return fields


def _string(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise WireError("malformed_message", f"{fields['type']}.{key} must be a string")
    return value


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(fields: dict[str, Any], key: str) -> int | float:
    value = fields.get(key)
    if not _is_number(value):
        raise WireError("malformed_message", f"{fields['type']}.{key} must be a number")
    return value


def _dict_or_none(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _members(fields: dict[str, Any], key: str) -> tuple[PresencePeer, ...]:
    entries = fields.get(key)
    if not isinstance(entries, list):
        raise WireError("malformed_message", f"presence.{key} must be an array")
    members = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("peerId"), str):
            raise WireError("malformed_message", f"presence.{key} holds an entry without a peerId")
        members.append(PresencePeer(entry["peerId"], _dict_or_none(entry.get("metadata"))))
    return tuple(members)


# Envelopes between peers (section 13) -------------------------------------------------------------


def parse_envelope(data: Any) -> Envelope | None:
    """Return what `data` of a direct message means to the peer layer; None: it is the application's. Never raises."""
    if not isinstance(data, dict):
        return None
    match data.get("type"):
        case "rtc-description":
            return _description(data.get("description"))
        case "rtc-ice":
            candidate = data.get("candidate")
            return IceCandidate(candidate) if candidate is None or isinstance(candidate, dict) else None
    return _track_metadata(data.get(TRACK_METADATA_KEY))


def envelope_data(envelope: Envelope) -> dict[str, Any]:
    """Return the `data` that carries an envelope."""
    match envelope:
        case Description():
            return {"type": "rtc-description", "description": {"type": envelope.type, "sdp": envelope.sdp}}
        case IceCandidate():
            return {"type": "rtc-ice", "candidate": envelope.candidate}
        case TrackMetadata():
            body: dict[str, Any] = {"trackId": envelope.track_id}
            if envelope.metadata is not None:
                optional = {"kind": envelope.kind, "streamId": envelope.stream_id}
                body["metadata"] = envelope.metadata
                body |= {key: value for key, value in optional.items() if value}
            return {TRACK_METADATA_KEY: body}


def _description(description: Any) -> Description | None:
    if not isinstance(description, dict):
        return None
    kind, sdp = description.get("type"), description.get("sdp")
    if kind not in ("offer", "answer") or not isinstance(sdp, str):
        return None
    return Description(kind, sdp)


def _track_metadata(body: Any) -> TrackMetadata | None:
    if not isinstance(body, dict):
        return None
    track_id, metadata = body.get("trackId"), body.get("metadata")
    kind, stream_id = body.get("kind"), body.get("streamId")
    if not isinstance(track_id, str) or not track_id or not (metadata is None or isinstance(metadata, dict)):
        return None
    for name in (kind, stream_id):
        if name is not None and not (isinstance(name, str) and 0 < len(name) <= MAX_METADATA_ID_CHARS):
            return None
    return TrackMetadata(track_id, metadata, kind, stream_id)

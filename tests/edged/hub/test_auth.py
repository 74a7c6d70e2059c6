"""Keys and tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.hub.auth import Authenticator, AuthError, verify
from edged.hub.settings import HubSettings, IceServerSettings, KeySettings, TokenSecretSettings
from edged.settings import Secret
from metered_realtime.wire import WsCloseCode

NOW_S = 1_800_000_000.0
SECRET = "sk_secret_" + "0123456789abcdef" * 4
SETTINGS = HubSettings(
    keys=(
        KeySettings(key=Secret("pk_live_all")),
        KeySettings(key=Secret("pk_live_view"), permissions=("subscribe", "presence"), channels=("farm/*",)),
        KeySettings(key=Secret("pk_live_off"), suspended=True),
    ),
    token_secrets=(TokenSecretSettings(id="sk_id_1", secret=Secret(SECRET)),),
)
ICE = IceServerSettings(urls=("turn:turn.example.org",), username="u", credential=Secret("c"))


def authenticator(settings: HubSettings = SETTINGS) -> Authenticator:
    ids = iter(range(1000))
    return Authenticator(settings, new_peer_id=lambda: f"id-{next(ids)}")


def token(headers: dict[str, Any] | None = None, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    payload = {"sub": "camera-1", "exp": NOW_S + 60, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, secret, algorithm, headers={"kid": "sk_id_1", **(headers or {})})


def refused(query: str) -> AuthError:
    with pytest.raises(AuthError) as caught:
        authenticator().identify(query, NOW_S)
    assert len(caught.value.reason.encode()) <= 123, "a close frame has no room for more"
    return caught.value


# Keys -----------------------------------------------------------------------------------------------


def test_key_gives_a_new_peer_id_at_every_connection():
    auth = authenticator()

    first, second = auth.identify("key=pk_live_all", NOW_S), auth.identify("key=pk_live_all", NOW_S)

    assert (first.peer_id, second.peer_id) == ("id-0", "id-1")
    assert first.expires_at_s is None
    assert first.metadata is None
    assert first.access.refusal("publish", "anything/at/all") is None


def test_key_has_its_permissions_and_channels():
    access = authenticator().identify("key=pk_live_view", NOW_S).access

    assert access.refusal("subscribe", "farm/yard") is None
    assert access.refusal("publish", "farm/yard") == "action_not_permitted"
    assert access.refusal("subscribe", "office") == "channel_not_authorized"


def test_percent_encoding_is_undone():
    settings = HubSettings(keys=(KeySettings(key=Secret("pk live/ü&=")),))

    assert authenticator(settings).identify("key=pk%20live%2F%C3%BC%26%3D", NOW_S).peer_id == "id-0"


@pytest.mark.parametrize(
    "query",
    ["", "key=", "key=nope", "key=pk_live_al", "key=pk_live_all&key=pk_live_all", "key=pk_live_all&token=x", "other=1",
     "key=%ff%fe", "&".join("a=1" for _ in range(50)), "key=" + "x" * 100_000],
)  # fmt: skip
def test_anything_but_one_known_credential_is_refused(query: str):
    assert refused(query).code == WsCloseCode.INVALID_TOKEN


def test_suspended_key_is_told_so():
    assert refused("key=pk_live_off").code == WsCloseCode.ACCOUNT_SUSPENDED


def test_ice_servers_of_the_hub_come_with_a_key():
    auth = authenticator(HubSettings(keys=SETTINGS.keys, ice_servers=(ICE, IceServerSettings(urls=("stun:s",)))))

    assert auth.identify("key=pk_live_all", NOW_S).welcome_metadata == {
        "iceServers": [{"urls": ["turn:turn.example.org"], "username": "u", "credential": "c"}, {"urls": ["stun:s"]}]
    }


# Tokens ---------------------------------------------------------------------------------------------


def test_token_says_who_one_is_and_what_one_may_do():
    text = token(
        channels=["farm/**"],
        permissions=["subscribe"],
        metadata={"plan": "x"},
        peerMetadata={"role": "cam"},
        iat=NOW_S,
        iss="somebody",
    )

    identity = authenticator().identify(f"token={text}", NOW_S)

    assert identity.peer_id == "camera-1"
    assert identity.expires_at_s == NOW_S + 60
    assert identity.metadata == {"role": "cam"}
    assert identity.welcome_metadata == {"plan": "x"}
    assert identity.access.refusal("subscribe", "farm/a/b") is None
    assert identity.access.refusal("publish", "farm/a/b") == "action_not_permitted"


def test_token_without_claims_about_rights_has_all():
    identity = authenticator().identify(f"token={token()}", NOW_S)

    assert all(identity.access.may(action) for action in ("publish", "subscribe", "presence", "send"))
    assert identity.access.refusal("publish", "any/where") is None


def test_ice_servers_of_the_token_win_over_the_hubs():
    auth = authenticator(HubSettings(token_secrets=SETTINGS.token_secrets, ice_servers=(ICE,)))

    own = auth.identify(f"token={token(metadata={'iceServers': []})}", NOW_S)
    other = auth.identify(f"token={token(metadata={'plan': 'x'})}", NOW_S)

    assert own.welcome_metadata == {"iceServers": []}
    assert other.welcome_metadata is not None
    assert other.welcome_metadata["plan"] == "x"
    assert other.welcome_metadata["iceServers"][0]["urls"] == ["turn:turn.example.org"]


@pytest.mark.parametrize("left_s", [-100, 0, 0.2])
def test_expired_token_is_refused_with_4002(left_s: float):
    assert refused(f"token={token(exp=NOW_S + left_s)}").code == WsCloseCode.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": -1},
        {"nbf": NOW_S + 31},
        {"nbf": "soon"},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 129},
        {"sub": "caméra"},
        {"sub": "a\nb"},
        {"permissions": "publish"},
        {"permissions": ["publish", "fly"]},
        {"permissions": [["publish"]]},
        {"channels": "farm"},
        {"channels": [1]},
        {"channels": [""]},
        {"channels": ["x" * 257]},
        {"channels": ["x"] * 101},
        {"metadata": []},
        {"metadata": {"x": "y" * 8192}},
        {"peerMetadata": "me"},
        {"peerMetadata": {"x": "y" * 4096}},
    ],
)
def test_token_with_a_wrong_claim_is_refused(claims: dict[str, Any]):
    payload = {"sub": "camera-1", "exp": NOW_S + 60, **claims}
    assert refused(f"token={sign({name: value for name, value in payload.items() if value is not None})}").code == 4001


def test_clocks_may_differ_a_little_for_not_before():
    assert authenticator().identify(f"token={token(nbf=NOW_S + 29)}", NOW_S).peer_id == "camera-1"


@pytest.mark.parametrize(
    "text",
    [
        token(secret="sk_secret_another_one_of_good_length"),
        token(headers={"kid": "sk_id_2"}),
        token(secret=SECRET, algorithm="HS384"),
        token() + "x",
        token()[:-1],
        token().rsplit(".", 1)[0] + ".",
        token().rsplit(".", 1)[0],
        "",
        "...",
        "x" * 70_000,
    ],
)
def test_forged_or_broken_token_is_refused(text: str):
    assert refused(f"token={text}").code == WsCloseCode.INVALID_TOKEN


def test_algorithm_none_and_critical_extensions_are_refused():
    for header in ({"alg": "none"}, {"alg": "HS256", "crit": ["x"]}, {"alg": ["HS256"]}, []):
        assert refused(f"token={sign({'sub': 'a', 'exp': NOW_S + 9}, header)}").code == WsCloseCode.INVALID_TOKEN
    unsigned = sign({"sub": "a", "exp": NOW_S + 9}, {"alg": "none", "kid": "sk_id_1"}).rsplit(".", 1)[0] + "."
    assert refused(f"token={unsigned}").code == WsCloseCode.INVALID_TOKEN


@pytest.mark.parametrize("payload", [b"[]", b"nonsense", b"\xff\xfe", b"[" * 20_000, b'{"exp":NaN}', b'{"exp":1e999}'])
def test_signed_nonsense_is_refused(payload: bytes):
    assert refused(f"token={sign_bytes(payload)}").code == WsCloseCode.INVALID_TOKEN


@given(st.text(max_size=200))
def test_no_token_raises_anything_else(text: str):
    with pytest.raises(AuthError):
        verify(text, {"sk_id_1": b"x"})


def test_header_that_names_no_secret_by_a_strange_type_is_refused():
    text = sign({"sub": "a", "exp": NOW_S + 9}, {"alg": "HS256", "kid": ["sk_id_1"]})
    assert refused(f"token={text}").code == WsCloseCode.INVALID_TOKEN


def sign(payload: Any, header: Any = None) -> str:
    return sign_bytes(json.dumps(payload).encode(), header)


def sign_bytes(payload: bytes, header: Any = None) -> str:
    given = {"alg": "HS256", "kid": "sk_id_1"} if header is None else header
    if isinstance(given, dict):
        given = {"kid": "sk_id_1", **given}
    head = f"{encoded(json.dumps(given).encode())}.{encoded(payload)}"
    return f"{head}.{encoded(hmac.new(SECRET.encode(), head.encode(), hashlib.sha256).digest())}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

"""SignallingClient against a scripted service on real WebSockets."""

from __future__ import annotations

import asyncio
import logging

import pytest

from metered_realtime import (
    AckTimeoutError,
    Connected,
    Direct,
    Disconnected,
    DisconnectedError,
    GoingAway,
    Message,
    NoopLogger,
    NotConnectedError,
    OversizedPayloadError,
    Presence,
    ReconnectOptions,
    ServerError,
    ServerRequestError,
    SignallingClient,
    SignallingClientOptions,
    SignallingConnectError,
    SignallingError,
    StateChange,
    SubscribeOptions,
    TokenProviderError,
)
from metered_realtime import session as session_module

from .signalling_server import scripted_server

KEY = "pk_live_very_secret"
FAST = ReconnectOptions(initial_delay=0.01, max_delay=0.02)


@pytest.fixture
async def server():
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def client(server):
    made = SignallingClient(api_key=KEY, url=server.url, reconnect=FAST)
    yield made
    await made.close()


async def next_of(client, event_type):
    async with client.events(event_type) as stream:
        return await anext(stream)


async def test_connect_waits_for_the_welcome_and_says_so(server, client):
    seen = []
    client.on(StateChange, lambda event: seen.append((event.from_, event.to)))
    client.on(Connected, seen.append)
    await client.connect()
    assert await server.paths.get() == f"/v1?key={KEY}"
    assert seen == [("idle", "connecting"), ("connecting", "connected"), Connected("me", 1, None, False, 65536, None)]
    assert client.state == "connected"


async def test_every_request_is_answered_by_its_own_ack(server, client):
    await client.connect()
    await client.subscribe("room", SubscribeOptions(include_sender_metadata=True))
    await client.publish("room", {"x": "é"})
    await client.send("peer", None)
    await client.unsubscribe("room")
    frames = [server.frames.get_nowait() for _ in range(4)]
    ids = [frame.pop("requestId") for frame in frames]
    assert len(set(ids)) == 4
    assert frames == [
        {"type": "subscribe", "channel": "room", "includeSenderMetadata": True},
        {"type": "publish", "channel": "room", "data": {"x": "é"}},
        {"type": "send", "to": "peer", "data": None},
        {"type": "unsubscribe", "channel": "room"},
    ]


async def test_incoming_frames_become_events(server, client):
    await client.connect()
    streams = [client.events(kind) for kind in (Message, Direct, Presence, ServerError, GoingAway)]
    await server.send({"type": "message", "channel": "c", "from": "a", "data": 1, "fromMetadata": {"n": 2}})
    await server.send({"type": "direct", "from": "a", "data": [1]})
    await server.send({"type": "presence", "channel": "c", "joined": [{"peerId": "b"}], "left": []})
    await server.send({"type": "error", "code": "strange"})
    await server.send({"type": "going_away", "retryAfterMs": 5})
    message, direct, presence, error, going = [await anext(stream) for stream in streams]
    assert (message.channel, message.sender_peer_id, message.data, message.sender_metadata) == ("c", "a", 1, {"n": 2})
    assert (direct.sender_peer_id, direct.data) == ("a", [1])
    assert presence.joined[0].peer_id == "b"
    assert error.code == "strange"
    assert going.retry_after_ms == 5


async def test_all_three_event_styles_hear_the_same(server, client):
    heard = []

    @client.on(Message)
    def plain(event):
        heard.append(("plain", event.data))

    done = asyncio.Event()

    @client.on(Message)
    async def coroutine(event):
        heard.append(("coroutine", event.data))
        done.set()

    await client.connect()
    async with client.events(Message) as stream:
        await server.send({"type": "message", "channel": "c", "from": "a", "data": 7})
        heard.append(("stream", (await anext(stream)).data))
    await done.wait()
    assert sorted(heard) == [("coroutine", 7), ("plain", 7), ("stream", 7)]


async def test_hostile_frames_are_ignored_and_the_connection_lives(server, client):
    await client.connect()
    async with client.events(Message) as stream:
        for hostile in ("[" * 100_000, "nonsense", '{"type": 5}', '{"type":"presence","channel":"c","joined":[]}'):
            await server.send(hostile)
        await server.connections[-1].send(b"binary")
        await server.send({"type": "message", "channel": "c", "from": "a", "data": "still here"})
        assert (await anext(stream)).data == "still here"
    assert len(server.connections) == 1


async def test_refused_request_raises_the_code_of_the_service(server, client):
    server.answer = lambda frame: [{"type": "error", "requestId": frame["requestId"], "code": "peer_not_found"}]
    await client.connect()
    with pytest.raises(ServerRequestError) as refused:
        await client.send("nobody", 1)
    assert refused.value.code == "peer_not_found"


async def test_refused_subscription_is_not_renewed(server, client):
    await client.connect()
    server.answer = lambda frame: [{"type": "error", "requestId": frame["requestId"], "code": "channel_not_authorized"}]
    with pytest.raises(ServerRequestError):
        await client.subscribe("secret")
    await server.frame("subscribe")
    async with client.events(Connected) as reconnected:
        server.connections[-1].transport.abort()
        await anext(reconnected)
    server.answer = lambda frame: [{"type": "ack", "requestId": frame["requestId"]}]
    await client.publish("open", 1)
    assert [server.frames.get_nowait()["type"] for _ in range(server.frames.qsize())] == ["publish"]


async def test_subscription_that_a_slow_link_refused_is_not_renewed(server, client, monkeypatch):
    await client.connect()
    monkeypatch.setattr("metered_realtime.link.MAX_QUEUED_BYTES", 10)
    with pytest.raises(SignallingError, match="slow link"):
        await client.subscribe("room")
    assert client._session.subscriptions == {}


async def test_late_refusal_does_not_undo_what_the_application_did_meanwhile(server, client):
    await client.connect()
    await client.subscribe("room")
    await server.frame("subscribe")
    server.answer = lambda frame: []
    refused = asyncio.create_task(client.subscribe("room", SubscribeOptions(include_sender_metadata=True)))
    request_id = (await server.frame("subscribe"))["requestId"]
    server.answer = lambda frame: [{"type": "ack", "requestId": frame["requestId"]}]
    await client.unsubscribe("room")
    await server.send({"type": "error", "requestId": request_id, "code": "backend_error"})
    with pytest.raises(ServerRequestError):
        await refused
    assert client._session.subscriptions == {}


async def test_oversized_payload_is_refused_before_it_costs_the_connection(server, client):
    await client.connect()
    with pytest.raises(OversizedPayloadError) as too_big:
        await client.publish("room", "é" * 40_000)
    assert (too_big.value.size, too_big.value.cap) == (80_002, 65_536)
    await client.publish("room", "é" * 30_000)  # 60,002 bytes of UTF-8: fits, although not as \\u escapes


async def test_bad_arguments_are_refused_at_the_call(client):
    for call, wrong in ((client.publish, ""), (client.subscribe, "a\n"), (client.send, "x" * 129)):
        with pytest.raises(ValueError):
            await (call(wrong) if call == client.subscribe else call(wrong, 1))
    with pytest.raises(TypeError):
        await client.subscribe(5)


async def test_calls_while_not_connected_say_so(client):
    with pytest.raises(NotConnectedError):
        await client.publish("room", 1)
    with pytest.raises(NotConnectedError):
        await client.subscribe("room")


async def test_dropped_connection_fails_what_waits_and_comes_back_with_its_subscriptions(server, client):
    await client.connect()
    await client.subscribe("room")
    server.answer = lambda frame: []
    waiting = asyncio.create_task(client.publish("room", 1))
    await server.frame("publish")
    gone, back = client.events(Disconnected), client.events(Connected)
    server.connections[-1].transport.abort()
    with pytest.raises(DisconnectedError):
        await waiting
    assert (await anext(gone)).will_reconnect
    assert (await anext(back)).is_reconnect
    assert (await server.frame("subscribe"))["channel"] == "room"


async def test_auto_resubscribe_can_be_switched_off(server):
    client = SignallingClient(api_key=KEY, url=server.url, reconnect=FAST, auto_resubscribe=False)
    async with client:
        await client.subscribe("room")
        await server.frame("subscribe")
        async with client.events(Connected) as back:
            server.connections[-1].transport.abort()
            await anext(back)
        await client.publish("room", 1)
        assert server.frames.get_nowait()["type"] == "publish"


@pytest.mark.parametrize("code", [4001, 4003, 4012, 4020])
async def test_terminal_codes_end_the_client(server, client, code):
    await client.connect()
    async with client.events(Disconnected) as gone:
        await server.connections[-1].close(code, "no")
        event = await anext(gone)
    assert (event.code, event.reason, event.will_reconnect) == (code, "no", False)
    assert client.state == "closed"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4002, 4011])
async def test_other_codes_are_tried_again(server, client, code):
    await client.connect()
    async with client.events(Connected) as back:
        await server.connections[-1].close(code)
        assert (await anext(back)).is_reconnect


async def test_first_connection_is_tried_once_and_may_be_repeated_by_the_application(server, client):
    async def refuse(connection):
        await connection.close(4010, "full")

    server.on_connect = refuse
    kept = []
    client.on(Connected, kept.append)
    with pytest.raises(SignallingConnectError) as refused:
        await client.connect()
    assert (refused.value.close_code, refused.value.close_reason) == (4010, "full")
    server.on_connect = None
    await client.connect()
    assert len(kept) == 1


async def test_first_connection_is_retried_on_request(server):
    client = SignallingClient(
        api_key=KEY, url=server.url, reconnect=ReconnectOptions(initial_delay=0.01, retry_first_connect=True)
    )

    async def refuse_once(connection):
        server.on_connect = None
        await connection.close(1011)

    server.on_connect = refuse_once
    async with client:
        assert client.state == "connected"
    assert len(server.connections) == 2


async def test_unreachable_service_is_named_without_the_key():
    client = SignallingClient(api_key=KEY, url="ws://127.0.0.1:1")
    with pytest.raises(SignallingConnectError) as failed:
        await client.connect()
    assert failed.value.close_code == 1006
    assert KEY not in str(failed.value)
    await client.close()


async def test_token_provider_is_asked_at_every_connection_and_may_be_plain(server):
    tokens = iter(["first", "second"])
    client = SignallingClient(token_provider=lambda: next(tokens), url=server.url, reconnect=FAST)
    async with client:
        assert await server.paths.get() == "/v1?token=first"
        async with client.events(Connected) as back:
            await server.connections[-1].close(4002, "expired")
            await anext(back)
        assert await server.paths.get() == "/v1?token=second"


async def test_failing_token_provider_is_reported_from_the_third_time(server):
    calls = 0

    async def provider():
        nonlocal calls
        calls += 1
        if 1 < calls < 6:
            raise RuntimeError("no token at https://x/?token=abc")
        return "good"

    client = SignallingClient(token_provider=provider, url=server.url, reconnect=FAST)
    async with client:
        reports, back = client.events(TokenProviderError), client.events(Connected)
        server.connections[-1].transport.abort()
        first = await anext(reports)
        await anext(back)
    assert first.consecutive_failures == 3
    assert "abc" not in str(first.err)


async def test_silent_token_provider_is_named(server):
    client = SignallingClient(token_provider=asyncio.Event().wait, url=server.url, token_provider_timeout=0.01)
    with pytest.raises(TimeoutError, match=r"token provider did not answer within 0.01 s"):
        await client.connect()


async def test_close_does_not_wait_for_a_token(server):
    asked = asyncio.Event()

    async def provider():
        asked.set()
        await asyncio.Event().wait()

    client = SignallingClient(token_provider=provider, url=server.url)
    connecting = asyncio.create_task(client.connect())
    await asked.wait()
    async with asyncio.timeout(0.5):
        await client.close()
    with pytest.raises(SignallingError):
        await connecting


async def test_token_provider_that_closes_the_client_is_not_dialled_for(server):
    async def provider():
        await client.close()
        return "token"

    client = SignallingClient(token_provider=provider, url=server.url)
    with pytest.raises(SignallingError):
        await client.connect()
    await asyncio.wait([client._lines._supervisor])
    assert client.state == "closed"
    assert server.connections == []


async def test_token_provider_whose_own_task_was_cancelled_fails_as_any_other(server):
    async def provider():
        raise asyncio.CancelledError

    client = SignallingClient(token_provider=provider, url=server.url)
    with pytest.raises(RuntimeError, match="cancelled"):
        await client.connect()


async def test_first_token_failure_raises_what_the_provider_raised(server):
    client = SignallingClient(token_provider=lambda: "", url=server.url)
    with pytest.raises(ValueError, match="non-empty"):
        await client.connect()
    await client.close()


async def test_silent_service_is_pinged_and_then_left(server, monkeypatch):
    monkeypatch.setattr(session_module, "MIN_HEARTBEAT_S", 0.05)
    client = SignallingClient(api_key=KEY, url=server.url, reconnect=False, inactivity_timeout=0.2)
    server.answer = lambda frame: []
    async with client.events(Disconnected) as gone:
        await client.connect()
        await server.frame("ping")
        assert not (await anext(gone)).will_reconnect
    assert (await server.closes.get())[0] == 4000
    await client.close()


async def test_service_that_no_longer_reads_is_left_with_a_full_queue_and_dialled_again(server, monkeypatch):
    monkeypatch.setattr("metered_realtime.link.CLOSE_GRACE_S", 0.1)
    client = SignallingClient(api_key=KEY, url=server.url, reconnect=FAST, inactivity_timeout=0.5)
    await client.connect()
    server.stop_reading()
    stuck = [asyncio.create_task(client.publish("room", "x" * 60_000)) for _ in range(200)]
    async with asyncio.timeout(5), client.events(Connected) as back:
        assert (await anext(back)).is_reconnect
    outcomes = await asyncio.gather(*stuck, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {DisconnectedError, SignallingError}
    await client.close()
    server.connections[0].transport.abort()


async def test_missing_welcome_ends_the_attempt(server, monkeypatch):
    monkeypatch.setattr(session_module, "WELCOME_TIMEOUT_S", 0.05)
    server.welcome = None
    client = SignallingClient(api_key=KEY, url=server.url)
    with pytest.raises(SignallingConnectError):
        await client.connect()
    await client.close()


async def test_an_acknowledgement_may_be_waited_for_as_long_as_is_said(server, client):
    server.answer = lambda frame: []
    await client.connect()
    with pytest.raises(AckTimeoutError) as late:
        await client.publish("room", 1, timeout=0.05)
    assert late.value.timeout == 0.05
    with pytest.raises(ValueError, match="timeout"):
        await client.publish("room", 1, timeout=0)


async def test_missing_ack_times_out(server, client, monkeypatch):
    monkeypatch.setattr("metered_realtime.requests_in_flight.ACK_TIMEOUT_S", 0.05)
    server.answer = lambda frame: []
    await client.connect()
    with pytest.raises(AckTimeoutError) as late:
        await client.publish("room", 1)
    assert late.value.timeout == 0.05


async def test_close_ends_streams_waiting_calls_and_the_socket(server, client):
    await client.connect()
    server.answer = lambda frame: []
    waiting = asyncio.create_task(client.publish("room", 1))
    await server.frame("publish")
    stream = client.events(Message)
    await client.close()
    with pytest.raises(DisconnectedError):
        await waiting
    assert [event async for event in stream] == []
    assert await server.closes.get() == (1000, "client requested close")
    assert client.state == "closed"
    await client.close()


async def test_connect_twice_is_refused(client):
    await client.connect()
    with pytest.raises(SignallingError):
        await client.connect()


async def test_closed_client_can_connect_again_and_subscribes_anew(server, client):
    await client.connect()
    await client.subscribe("room")
    await client.close()
    await client.connect()
    await client.publish("room", 1)
    assert [server.frames.get_nowait()["type"] for _ in range(server.frames.qsize())] == ["subscribe", "publish"]


def test_client_works_in_one_event_loop_after_the_other():
    async def use():
        async with scripted_server() as running:
            client._lines._find_url = SignallingClient(api_key=KEY, url=running.url)._lines._find_url
            async with client:
                await client.publish("room", 1)

    client = SignallingClient(api_key=KEY, url="ws://127.0.0.1")
    asyncio.run(use())
    asyncio.run(use())


async def test_close_that_comes_late_leaves_the_next_life_alone(server, client):
    await client.connect()
    closing = [asyncio.create_task(client.close()) for _ in range(2)]

    async def connect_again():
        await closing[0]
        await client.connect()

    await asyncio.gather(connect_again(), *closing)
    await client.publish("room", 1)


async def test_cancelled_close_is_still_a_close(server, client):
    await client.connect()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert client.state == "closed"
    with pytest.raises(NotConnectedError):
        await client.publish("room", 1)
    await client.connect()
    await client.publish("room", 1)


async def test_cancelled_connect_keeps_the_handlers_for_the_next(server, client):
    heard = []
    client.on(Connected, heard.append)
    server.welcome, welcome = None, server.welcome
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.connect()
    server.welcome = welcome
    await client.connect()
    assert len(heard) == 1


async def test_handler_may_close_the_client_with_a_limit(server, client):
    done = asyncio.get_running_loop().create_future()

    @client.on(Message)
    async def close(event):
        await asyncio.wait_for(client.close(), 0.5)
        done.set_result(client.state)

    await client.connect()
    await server.send({"type": "message", "channel": "c", "from": "a", "data": 7})
    assert await done == "closed"


async def test_end_of_the_service_ends_the_streams_though_a_handler_runs(server, client):
    stream, release = client.events(Message), asyncio.Event()

    @client.on(Disconnected)
    async def busy(event):
        await release.wait()

    await client.connect()
    await server.connections[-1].close(4001, "no")
    async with asyncio.timeout(5):
        assert [event async for event in stream] == []
    release.set()
    await asyncio.wait(client._running)
    assert client.listener_count(Disconnected) == 0


async def test_handler_of_the_end_may_connect_again_and_keeps_its_fellows(server, client):
    back, heard = asyncio.Event(), []
    client.on(Connected, heard.append)

    @client.on(Disconnected)
    async def again(event):
        await client.connect()
        back.set()

    await client.connect()
    await server.connections[-1].close(4001, "no")
    await back.wait()
    assert len(heard) == 2
    assert client.listener_count(Connected) == 1


async def test_fault_of_the_applications_logger_costs_a_connection_not_the_client(server, caplog):
    class Broken(NoopLogger):
        def warning(self, msg, ctx=None):
            raise RuntimeError("no disk")

    client = SignallingClient(api_key=KEY, url=server.url, reconnect=FAST, logger=Broken())
    async with client, client.events(Connected) as back:
        await server.send("nonsense")
        assert (await anext(back)).is_reconnect


async def test_close_during_connect_raises_in_connect(server, client):
    server.welcome = None
    connecting = asyncio.create_task(client.connect())
    await server.paths.get()
    await client.close()
    with pytest.raises(SignallingError):
        await connecting


async def test_cancelled_connect_leaves_nothing_behind(server, client):
    server.welcome = None
    connecting = asyncio.create_task(client.connect())
    await server.paths.get()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert {task.get_name() for task in asyncio.all_tasks()} & {"signalling client", "signalling writer"} == set()


async def test_no_secret_in_repr_vars_or_debug_log(server, caplog):
    caplog.set_level(logging.DEBUG, "metered_realtime.websocket")
    client = SignallingClient(api_key=KEY, url=server.url)
    async with client:
        await client.publish("room", 1)
    text = caplog.text + repr(client) + repr(vars(client)) + repr(vars(client._session))
    assert KEY not in text
    assert "key=***" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"api_key": "a", "token_provider": lambda: "b"},
        {"api_key": "a", "url": "ws://example.com"},
        {"api_key": "a", "url": "http://x"},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError):
        SignallingClient(**options)


@pytest.mark.parametrize("options", [{"api_key": 5}, {"token_provider": "eyJ"}])
def test_options_of_the_wrong_kind_are_refused(options):
    with pytest.raises(TypeError):
        SignallingClient(**options)


def test_options_object_is_taken_as_the_keywords_are():
    client = SignallingClient(SignallingClientOptions(api_key="k", url="ws://far", allow_insecure=True))
    assert client.state == "idle"

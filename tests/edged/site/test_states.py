"""What the topics hold."""

import json

from edged.site.retained import Wish
from edged.site.states import ONLINE, time_text, wishes
from edged.site.topics import Topics
from tests.edged.site.status import STATUS

TOPICS = Topics.of("edged/{gateway}", "farm-1")


def made(status=STATUS):
    return wishes(TOPICS, status)


def held(topic, status=STATUS):
    return json.loads(made(status)[topic].payload)


def with_figures(**figures):
    return {**STATUS, "figures": {**STATUS["figures"], **figures}}


def test_every_part_has_its_topic():
    assert next(iter(made())) == "edged/farm-1/state"
    assert made()["edged/farm-1/state"] == Wish(ONLINE)
    assert [topic.removeprefix("edged/farm-1/") for topic in made()][1:] == [
        "info",
        "camera/yard",
        f"camera/{TOPICS.camera('yard sub').rpartition('/')[2]}",
        f"route/{TOPICS.route('farm/+/t').rpartition('/')[2]}",
        "outbox",
        "uplink",
    ]


def test_info_is_who_and_since_when():
    assert held("edged/farm-1/info") == {
        "gateway": "farm-1",
        "version": "1.2.3",
        "started": "2027-01-15T08:00:00+00:00",
        "parts": {"telemetry": "live", "camera yard": "idle"},
    }


def test_a_camera_says_what_is_known_of_it():
    assert held("edged/farm-1/camera/yard") == {
        "state": "live",
        "detail": "",
        "viewers": 2,
        "fps": 25.0,
        "kbps": 1500,
        "codec": "H264",
    }
    assert held(TOPICS.camera("yard sub")) == {"state": "idle", "detail": "", "viewers": 0}


def test_a_viewer_is_news_and_a_bit_rate_is_not():
    camera = STATUS["figures"]["cameras"]["yard"]
    before = made()[TOPICS.camera("yard")]
    more_viewers = made(with_figures(cameras={"yard": {**camera, "viewers": 3}}))[TOPICS.camera("yard")]
    more_bits = made(with_figures(cameras={"yard": {**camera, "kbps": 1501}}))[TOPICS.camera("yard")]
    assert more_viewers.news != before.news
    assert more_bits.news == before.news
    assert more_bits.payload != before.payload


def test_a_route_says_when_its_last_reading_was_taken():
    assert held(TOPICS.route("farm/+/t")) == {
        "readings": 7,
        "filtered": {},
        "last_reading": "2027-01-15T08:00:00+00:00",
    }
    assert time_text(None) is None


def test_the_outbox_has_the_account():
    assert held("edged/farm-1/outbox") == {
        "waiting": 1,
        "oldest_s": 3,
        "on_disk": 0,
        "received": 10,
        "delivered": 6,
        "dropped": 3,
        "dropped_by_reason": {"no_route": 3},
    }


def test_the_uplink_has_its_state_and_its_numbers():
    assert held("edged/farm-1/uplink") == {"state": "live", "detail": "connected to ws://hub", "rtt_ms": 34}


def test_a_gateway_of_cameras_has_no_outbox():
    status = {**STATUS, "account": None, "figures": {"cameras": STATUS["figures"]["cameras"]}}
    assert not {TOPICS.outbox, TOPICS.uplink} & set(made(status))


def test_a_gateway_that_does_nothing_is_online():
    status = {**STATUS, "account": None, "figures": {}, "parts": []}
    assert set(made(status)) == {TOPICS.state, TOPICS.info}

"""Topics of the gateway's state: one level per name, whatever the name."""

import re

from hypothesis import given
from hypothesis import strategies as st

from edged.settings import SiteSettings
from edged.site.topics import Topics, object_id, own_filters, segment
from edged.topic_filters import matches


def test_the_topics_of_a_gateway():
    topics = Topics.of("site/{gateway}/edge", "farm-1")
    assert topics.state == "site/farm-1/edge/state"
    assert topics.camera("yard") == "site/farm-1/edge/camera/yard"
    assert topics.route("farm/+/t").startswith("site/farm-1/edge/route/farm___t-")


@given(st.text(), st.text())
def test_a_name_is_one_level_and_two_names_never_the_same(one, other):
    for made in (segment, object_id):
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,80}", made(one))
        assert (made(one) == made(other)) == (one == other) or made(one) == other or made(other) == one


def test_an_object_id_has_no_dot():
    assert re.fullmatch(r"edged_a_b-[0-9a-f]{8}", object_id("edged_a.b"))
    assert object_id("edged_farm-1") == "edged_farm-1"


def test_all_that_the_gateway_says_of_itself_is_known_as_its_own():
    filters = own_filters(SiteSettings(), "farm-1")

    def is_own(topic):
        return any(matches(own, topic) for own in filters)

    assert is_own("edged/farm-1/state")
    assert is_own("homeassistant/sensor/edged_farm-1/x/config")
    assert not is_own("edged/farm-2/state")
    assert not is_own("homeassistant/status")

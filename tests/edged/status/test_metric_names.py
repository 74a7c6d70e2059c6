"""Names of metrics: unique, in base units, with labels for every key (https://prometheus.io/docs/practices/naming/)."""

import re

import pytest

from edged.status.metric_names import NAMES


def test_no_name_and_no_place_is_used_twice():
    assert len({named.name for named in NAMES}) == len(NAMES)
    assert len({named.place for named in NAMES}) == len(NAMES)


@pytest.mark.parametrize("named", NAMES, ids=lambda named: named.name)
def test_a_name_is_as_prometheus_wants_it(named):
    assert re.fullmatch(r"(edged|process)_[a-z_]+", named.name)
    assert (named.kind == "counter") == named.name.endswith("_total")
    assert not re.search(r"_(ms|kb|kbps|minutes|percent)(_|$)", named.name)
    assert named.help.endswith(".")
    assert named.place.count("*") == len(named.labels)

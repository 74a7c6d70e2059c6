"""The list of faults knows where keys stand and what not to say twice."""

import pytest

from edged.settings_faults import Fault, FaultList, TooManyFaultsError
from edged.settings_yaml import compose


def test_a_fault_prints_place_key_and_sentence():
    assert str(Fault("f.yaml", 3, 5, "hub.url", "is wrong")) == "f.yaml:3:5: hub.url: is wrong"
    assert str(Fault("f.yaml", 3, 5, "", "is wrong")) == "f.yaml:3:5: is wrong"
    assert str(Fault("f.yaml", 0, 0, "", "is wrong")) == "f.yaml: is wrong"


def test_a_fault_without_a_node_stands_at_the_nearest_group():
    root = compose("a:\n  b:\n    - c: 1\n")
    faults = FaultList("f")
    faults.place("", root)
    faults.place("a.b[0]", root.value[0][1].value[0][1].value[0])
    faults.add("a.b[0].x.y", "missing")
    faults.add("z", "missing")
    assert [(fault.line, fault.column) for fault in faults.faults] == [(3, 7), (1, 1)]


def test_a_fault_in_a_file_without_keys_has_no_line():
    faults = FaultList("f")
    faults.add("hub.key", "missing")
    assert faults.faults[0].line == 0


@pytest.mark.parametrize(
    ("path", "near"),
    [("hub", True), ("hub.key", True), ("hub.key.x", True), ("hub.keys", False), ("hubs", False), ("a[1]", False)],
)
def test_a_path_is_near_a_fault_inside_or_round_it(path, near):
    faults = FaultList("f")
    faults.mark("hub.key")
    assert faults.is_near(path) is near
    assert faults.has("hub.key")


def test_the_list_is_bounded():
    faults = FaultList("f")
    for number in range(99):
        faults.add(f"k{number}", "wrong")
    with pytest.raises(TooManyFaultsError):
        faults.add("k99", "wrong")
    assert len(faults.faults) == 100

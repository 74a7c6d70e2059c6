"""Prometheus' text: escaping, numbers, nothing for nothing."""

import math

import pytest

from edged.status.exposition import Family, Sample, text


def test_a_family_has_help_and_type_and_its_samples():
    family = Family("a_total", "counter", "Counts.", (Sample(1, {"x": "1", "y": "2"}), Sample(2.5)))
    assert text([family]) == '# HELP a_total Counts.\n# TYPE a_total counter\na_total{x="1",y="2"} 1\na_total 2.5\n'


def test_what_would_end_a_label_or_a_line_is_escaped():
    family = Family("a", "gauge", "back\\slash\nline", (Sample(1, {"x": 'quo"te \\ and\nline'}),))
    assert text([family]) == ('# HELP a back\\\\slash\\nline\n# TYPE a gauge\na{x="quo\\"te \\\\ and\\nline"} 1\n')


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (True, "1"), (2**63, "9223372036854775808"), (0.1, "0.1"), (1e21, "1e+21"), (math.nan, "NaN"),
     (math.inf, "+Inf"), (-math.inf, "-Inf")],
)  # fmt: skip
def test_numbers_are_written_as_prometheus_reads_them(value, written):
    assert text([Family("a", "gauge", "A.", (Sample(value),))]).endswith(f"\na {written}\n")


def test_a_family_without_samples_is_left_out():
    assert text([Family("a", "gauge", "A.", ())]) == "\n"

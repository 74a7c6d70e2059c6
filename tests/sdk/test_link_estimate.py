"""How much a link takes, from reports of a receiver played by the tests."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metered_realtime.link_estimate import FULL_S, MIN_LIMIT_BPS, LinkEstimate
from metered_realtime.rtcp_feedback import ReportBlock

WANTED_BPS = 2_000_000.0
STEP_S = 0.2
SSRC = 7


class Receiver:
    """Reports every STEP_S what came of 1000-byte packets over a link that takes `capacity_bps` and loses the rest."""

    def __init__(self, *, capacity_bps: float = float("inf"), estimates: bool = True) -> None:
        self.estimate = LinkEstimate()
        self.capacity_bps = capacity_bps
        self.estimates = estimates
        self.now_s = 100.0
        self.loss = 0.0
        self._bps = 0.75 * WANTED_BPS
        self._lost = self._packets = 0.0
        self.got_bps = 0.0

    def step(self) -> None:
        self.now_s += STEP_S
        sent_bps = min(WANTED_BPS, self.estimate.limit_bps or WANTED_BPS)
        self.estimate.wanted_bytes += round(WANTED_BPS * STEP_S / 8)
        self.estimate.sent_bytes += round(sent_bps * STEP_S / 8)
        self.got_bps = min(sent_bps, self.capacity_bps)
        self._packets += sent_bps * STEP_S / 8000
        self._lost += (sent_bps - self.got_bps + sent_bps * self.loss) * STEP_S / 8000
        if self.estimates:
            is_too_much = sent_bps > self.capacity_bps
            self._bps = 0.85 * self.got_bps if is_too_much else min(1.5 * self.got_bps, 1.02 * self._bps)
            self.estimate.receiver_limit(self._bps, self.now_s)
        self.estimate.blocks([self.block()], self.now_s)

    def block(self) -> ReportBlock:
        return ReportBlock(SSRC, 0, int(self._lost), int(self._packets), 0, 0, 0)

    def run(self, duration_s: float) -> None:
        for _ in range(round(duration_s / STEP_S)):
            self.step()

    @property
    def is_thin(self) -> bool:
        return self.estimate.limit_bps is not None


def wide(**more: bool) -> Receiver:
    receiver = Receiver(**more)
    receiver.run(10)
    assert not receiver.is_thin
    return receiver


def test_nothing_is_known_before_a_report() -> None:
    assert LinkEstimate().link(1.0) is None


def test_a_link_that_takes_everything_is_not_thin_though_its_receiver_says_less() -> None:
    receiver = wide()
    link = receiver.estimate.link(receiver.now_s)
    assert link is not None
    assert not link.is_thin
    assert link.wanted_bps == pytest.approx(WANTED_BPS, rel=0.01)
    assert link.available_bps is not None
    assert link.available_bps >= 0.95 * WANTED_BPS
    assert link.fraction_lost == 0.0


def test_without_an_estimate_of_the_receiver_nothing_is_known_to_be_available() -> None:
    receiver = wide(estimates=False)
    link = receiver.estimate.link(receiver.now_s)
    assert link is not None
    assert link.available_bps is None


@pytest.mark.parametrize("estimates", [True, False])
@pytest.mark.parametrize("capacity_bps", [300_000.0, 1_000_000.0, 1_500_000.0])
def test_a_thin_link_is_found_and_filled_and_not_much_more(estimates: bool, capacity_bps: float) -> None:
    receiver = wide(estimates=estimates)
    receiver.capacity_bps = capacity_bps
    receiver.run(3)
    assert receiver.is_thin
    receiver.run(10)
    used = []
    for _ in range(100):
        receiver.step()
        used.append(receiver.got_bps)
        assert (receiver.estimate.limit_bps or WANTED_BPS) < 1.6 * capacity_bps
    assert sum(used) / len(used) > 0.7 * capacity_bps


@pytest.mark.parametrize(("estimates", "within_s"), [(True, 12), (False, 20)])
def test_a_link_that_widens_is_used_again(estimates: bool, within_s: float) -> None:
    receiver = wide(estimates=estimates)
    receiver.capacity_bps = 400_000.0
    receiver.run(10)
    assert receiver.is_thin
    receiver.capacity_bps = float("inf")
    receiver.run(within_s)
    assert not receiver.is_thin


def test_one_spike_of_delay_is_not_a_thin_link() -> None:
    receiver = wide()
    for step, share in enumerate((0.75, 0.7, 0.66)):  # of the same packets, held up
        receiver.estimate.receiver_limit(share * WANTED_BPS, receiver.now_s + 0.1 * step)
        assert not receiver.is_thin
    receiver.now_s += 1.0
    receiver.estimate.wanted_bytes += round(WANTED_BPS / 8)
    receiver.estimate.sent_bytes += round(WANTED_BPS / 8)
    receiver.estimate.receiver_limit(0.6 * WANTED_BPS, receiver.now_s)
    assert receiver.is_thin


def test_delay_now_and_then_on_a_link_that_brings_everything_is_no_thin_link() -> None:
    receiver = wide()
    for _ in range(60):
        receiver.run(1.0)
        receiver.estimate.receiver_limit(0.84 * WANTED_BPS, receiver.now_s)
        assert not receiver.is_thin


def test_estimates_of_the_time_between_large_key_frames_are_no_thin_link() -> None:
    estimate = LinkEstimate()
    now_s = 100.0
    for step in range(400):
        now_s += STEP_S
        sent = 150_000 if step % 50 == 0 else 2_500  # a key frame in ten seconds is 100 kbit/s else
        estimate.wanted_bytes += sent
        estimate.sent_bytes += sent
        lost_time = step % 50 in (3, 13, 40)
        estimate.receiver_limit(85_000.0 if lost_time else 100_000.0 + 1_000 * (step % 50), now_s)
        estimate.blocks([ReportBlock(SSRC, 0, 0, 10 * step, 0, 0, 0)], now_s)
        assert estimate.limit_bps is None


def test_a_first_estimate_far_below_what_is_sent_is_believed() -> None:
    receiver = wide(estimates=False)
    receiver.estimate.receiver_limit(0.3 * WANTED_BPS, receiver.now_s)
    assert receiver.estimate.limit_bps == pytest.approx(0.3 * WANTED_BPS)


def test_five_percent_lost_by_chance_is_never_taken_for_a_thin_link() -> None:
    receiver = wide(estimates=False)
    chance = random.Random(1)
    for _ in range(round(600 / STEP_S)):
        packets = round(WANTED_BPS * STEP_S / 8000)
        receiver.loss = sum(chance.random() < 0.05 for _ in range(packets)) / packets
        receiver.step()
        assert not receiver.is_thin


def test_a_link_that_loses_a_little_whatever_it_is_sent_is_used_again() -> None:
    receiver = wide(estimates=False)
    receiver.capacity_bps = 400_000.0
    receiver.run(10)
    assert receiver.is_thin
    receiver.capacity_bps, receiver.loss = float("inf"), 0.05
    receiver.run(90)
    assert not receiver.is_thin


@pytest.mark.parametrize(("loss", "is_thin"), [(0.01, False), (0.05, False), (0.2, True)])
def test_heavy_loss_is_a_thin_link_and_light_loss_is_repaired(loss: float, is_thin: bool) -> None:
    receiver = wide(estimates=False)
    receiver.loss = loss
    receiver.run(5)
    link = receiver.estimate.link(receiver.now_s)
    assert link is not None
    assert link.is_thin == is_thin
    assert link.fraction_lost == pytest.approx(loss, abs=0.02)


def test_nothing_is_learned_while_nothing_is_sent() -> None:
    receiver = wide()
    receiver.capacity_bps = 700_000.0
    receiver.run(3)
    limit_bps = receiver.estimate.limit_bps
    assert limit_bps is not None
    for _ in range(50):  # the tail of a long group is left out
        receiver.now_s += STEP_S
        receiver.estimate.wanted_bytes += round(WANTED_BPS * STEP_S / 8)
        receiver.estimate.blocks([receiver.block()], receiver.now_s)
    assert receiver.estimate.limit_bps is not None
    assert receiver.estimate.limit_bps < 1.3 * limit_bps


def test_loss_that_a_limit_has_answered_is_not_answered_twice() -> None:
    receiver = wide(estimates=False)
    estimate = receiver.estimate
    receiver.loss = 0.4
    while estimate.limit_bps is None:
        receiver.step()
    limit_bps = estimate.limit_bps
    receiver.loss, receiver.capacity_bps = 0.0, float("inf")
    receiver._lost += 100  # sent before, reported after
    receiver.now_s += 0.9
    estimate.blocks([receiver.block()], receiver.now_s)
    receiver.run(1.5)
    assert estimate.limit_bps is None or estimate.limit_bps >= limit_bps


def test_loss_of_a_few_packets_says_nothing() -> None:
    estimate = LinkEstimate()
    for second in range(5):
        estimate.blocks([ReportBlock(SSRC, 0, 2 * second, 4 * second, 0, 0, 0)], float(second))
    assert estimate.limit_bps is None


def test_what_is_wanted_anyway_is_not_limited() -> None:
    estimate = LinkEstimate()
    for second in range(8):
        estimate.wanted_bytes += 5_000
        estimate.sent_bytes += 5_000
        estimate.blocks([ReportBlock(SSRC, 0, 10 * second, 25 * second, 0, 0, 0)], float(second))
    assert estimate.limit_bps is None


def test_streams_beyond_the_bound_are_not_kept() -> None:
    estimate = LinkEstimate()
    for ssrc in range(1000):
        estimate.blocks([ReportBlock(ssrc, 0, 0, 0, 0, 0, 0)], 1.0)
    assert len(estimate._blocks) == 64


def test_a_stream_that_starts_anew_is_no_loss() -> None:
    receiver = wide(estimates=False)
    receiver.estimate.blocks([ReportBlock(SSRC, 0, 5, 1 << 31, 0, 0, 0)], receiver.now_s + 1)
    receiver.estimate.blocks([ReportBlock(SSRC, 0, 0, 100, 0, 0, 0)], receiver.now_s + 3)
    assert not receiver.is_thin


def test_a_socket_that_stays_full_is_a_thin_link() -> None:
    receiver = wide(estimates=False)
    receiver.estimate.socket_full(True, receiver.now_s)
    receiver.estimate.socket_full(False, receiver.now_s + 0.9 * FULL_S)
    receiver.estimate.socket_full(True, receiver.now_s + FULL_S)
    receiver.estimate.socket_full(True, receiver.now_s + 1.9 * FULL_S)
    assert not receiver.is_thin
    receiver.estimate.socket_full(True, receiver.now_s + 2 * FULL_S)
    assert receiver.is_thin


def test_the_round_trip_is_shown() -> None:
    receiver = wide()
    receiver.estimate.round_trip(0.04)
    link = receiver.estimate.link(receiver.now_s)
    assert link is not None
    assert link.rtt_s == 0.04


class Reported(RuleBasedStateMachine):
    """Any reports whatever."""

    def __init__(self) -> None:
        super().__init__()
        self.estimate = LinkEstimate()
        self.now_s = 0.0
        self.highest = self.lost = 0

    @rule(passed_s=st.floats(0.0, 5.0), wanted=st.integers(0, 10**7), share=st.floats(0.0, 1.0))
    def send(self, passed_s: float, wanted: int, share: float) -> None:
        self.now_s += passed_s
        self.estimate.wanted_bytes += wanted
        self.estimate.sent_bytes += round(wanted * share)

    @rule(bps=st.integers(0, 1 << 40))
    def limit(self, bps: int) -> None:
        self.estimate.receiver_limit(bps, self.now_s)

    @rule(expected=st.integers(0, 5000), lost=st.integers(-500, 5000), ssrc=st.integers(0, 3))
    def report(self, expected: int, lost: int, ssrc: int) -> None:
        self.highest = (self.highest + expected) & 0xFFFFFFFF
        self.lost += lost
        self.estimate.blocks([ReportBlock(ssrc, 0, self.lost, self.highest, 0, 0, 0)], self.now_s)

    @rule(is_full=st.booleans())
    def socket(self, is_full: bool) -> None:
        self.estimate.socket_full(is_full, self.now_s)

    @rule()
    def all_is_well_for_a_minute_and_a_half(self) -> None:
        self.estimate.socket_full(False, self.now_s)
        for _ in range(90):
            self.now_s += 1.0
            self.highest += 250
            self.estimate.wanted_bytes += 250_000
            self.estimate.sent_bytes += 250_000
            self.estimate.blocks([ReportBlock(0, 0, self.lost, self.highest & 0xFFFFFFFF, 0, 0, 0)], self.now_s)
        assert self.estimate.limit_bps is None

    @invariant()
    def what_is_said_makes_sense(self) -> None:
        limit_bps, link = self.estimate.limit_bps, self.estimate.link(self.now_s)
        assert limit_bps is None or limit_bps >= MIN_LIMIT_BPS
        if link is None:
            assert limit_bps is None
            return
        assert link.is_thin == (limit_bps is not None)
        assert link.wanted_bps >= 0
        assert link.fraction_lost is None or 0 <= link.fraction_lost <= 1
        assert not link.is_thin or link.available_bps == limit_bps


TestReported = Reported.TestCase
TestReported.settings = settings(max_examples=50, deadline=None)

from __future__ import annotations

from edged.cameras.losses import TELL_INTERVAL_S, Losses, LossReport


class Source:
    def __init__(self) -> None:
        self.now = Losses()

    def losses(self) -> Losses:
        return self.now


def test_losses_are_told_in_words_now_and_then() -> None:
    source, report = Source(), LossReport(0.0, 5)
    source.now = Losses(packets=3, pictures=1)
    assert not report.take(TELL_INTERVAL_S - 0.1, source, 5), "too soon"
    assert report.take(TELL_INTERVAL_S, source, 7)
    assert report.words == "lost: 3 packets from the camera, 1 pictures, 2 pictures for slow viewers"
    assert not report.take(2 * TELL_INTERVAL_S, source, 7), "no news"
    source.now = Losses(packets=4, pictures=1)
    assert not report.take(2 * TELL_INTERVAL_S + 1, source, 7)
    assert report.take(3 * TELL_INTERVAL_S, source, 7)


def test_a_source_that_counts_nothing_has_lost_nothing() -> None:
    report = LossReport(0.0, 0)
    assert not report.take(TELL_INTERVAL_S, object(), 0)
    assert report.words == ""

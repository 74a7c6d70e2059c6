from __future__ import annotations

import random

import pytest

from metered_realtime.media.camera_clock import MAX_APART_S, CameraClock, Kind

WRAP = 1 << 32
NTP_2026 = 3_989_000_000
RATES: dict[Kind, int] = {"video": 90_000, "audio": 8_000}
STEP_S: dict[Kind, float] = {"video": 0.04, "audio": 0.02}
NEAR_S = 0.005


class Camera:
    """Everything it sends is made on one clock; `late_s` is how long each stream is under way.

    `bases`: RTP timestamps at 0; `wall_s`: its time of day then; `ppm`: how fast each stream's own clock runs.
    """

    def __init__(self, **late_s: float) -> None:
        self.clock = CameraClock()
        self.clock.has_sound(8_000)
        self.late_s = {"video": 0.02, "audio": 0.02} | late_s
        self.bases: dict[Kind, int] = {"video": 3_000_000_000, "audio": 17}
        self.ppm: dict[Kind, float] = {"video": 0.0, "audio": 0.0}
        self.wall_s = float(NTP_2026)
        self.made_s = 0.0
        self.apart_s = 0.0

    def stamp(self, kind: Kind, at_s: float) -> int:
        return (self.bases[kind] + self.ticks(kind, at_s)) % WRAP

    def ticks(self, kind: Kind, at_s: float) -> int:
        return round(at_s * (1 + self.ppm[kind] / 1e6) * RATES[kind])

    def send(self, kind: Kind, at_s: float) -> float:
        take = self.clock.picture if kind == "video" else self.clock.sound
        return take(self.stamp(kind, at_s), self.ticks(kind, at_s), at_s + self.late_s[kind])

    def run(self, seconds: float) -> None:
        """Send both streams; afterwards `apart_s` is how far apart they put the last picture and its sound."""
        end_s = self.made_s + seconds
        due = dict.fromkeys(RATES, self.made_s)
        taken: dict[Kind, float] = {}
        while (kind := min(due, key=lambda one: due[one])) and due[kind] < end_s:
            taken[kind] = self.send(kind, due[kind]) - due[kind]
            due[kind] += STEP_S[kind]
        self.made_s = end_s
        self.apart_s = taken["audio"] - taken["video"]

    def report(self, *kinds: Kind, noise_s: float = 0.0, ntp: int | None = None) -> None:
        for kind in kinds or tuple(RATES):
            said = round((self.wall_s + self.made_s + noise_s) * WRAP) if ntp is None else ntp
            self.clock.report(kind, said, self.stamp(kind, self.made_s), self.made_s + 0.01)


@pytest.mark.parametrize("late_s", [0.4, -0.3, 1.5])
def test_sound_is_put_beside_the_picture_it_was_taken_with(late_s: float) -> None:
    camera = Camera(audio=0.02 + max(late_s, 0), video=0.02 + max(-late_s, 0))
    camera.run(1)
    assert camera.apart_s == pytest.approx(late_s, abs=NEAR_S)
    camera.report()
    camera.run(1)
    assert camera.apart_s == pytest.approx(0, abs=NEAR_S)
    assert camera.clock.sound_late_s == pytest.approx(late_s, abs=NEAR_S)


def test_pictures_stand_where_they_arrive_whatever_is_reported() -> None:
    camera = Camera(audio=0.5)
    camera.run(1)
    camera.report()
    assert camera.send("video", 1.0) == pytest.approx(1.02)


@pytest.mark.parametrize("kinds", [(), ("video",), ("audio",)])
def test_without_reports_of_both_sound_stands_where_it_arrives(kinds: tuple[Kind, ...]) -> None:
    camera = Camera(audio=0.4)
    for _ in range(3):
        camera.run(1)
        if kinds:
            camera.report(*kinds)
    assert camera.apart_s == pytest.approx(0.38, abs=NEAR_S)
    assert camera.clock.sound_late_s is None


def test_reports_that_come_before_the_first_packet_are_kept_for_it() -> None:
    camera = Camera(audio=0.4)
    camera.report()
    camera.run(1)
    assert camera.apart_s == pytest.approx(0, abs=NEAR_S)


def test_a_report_without_a_time_of_day_says_nothing() -> None:
    camera = Camera(audio=0.4)
    camera.run(1)
    camera.report(ntp=0)
    camera.report("audio")
    assert camera.clock.sound_late_s is None


def test_a_wrong_time_of_day_does_as_well() -> None:
    camera = Camera(audio=0.4)
    camera.wall_s = 2_208_988_800.0 + 12  # 1 January 1970
    camera.run(1)
    camera.report()
    camera.run(1)
    assert camera.apart_s == pytest.approx(0, abs=NEAR_S)


def test_a_time_of_day_that_stands_still_is_not_believed() -> None:
    camera = Camera(audio=0.4)
    for _ in range(6):
        camera.run(2)
        camera.report("video", ntp=NTP_2026 * WRAP)
        camera.run(2)
        camera.report("audio", ntp=NTP_2026 * WRAP)
    assert camera.clock.sound_late_s is None
    assert camera.clock.clock_steps


@pytest.mark.parametrize("step_s", [3600.0, -7200.0, 0.4, -0.9])
def test_a_clock_that_is_set_between_two_reports_moves_nothing(step_s: float) -> None:
    camera = Camera(audio=0.4)
    for number in range(8):
        camera.run(2)
        camera.report("audio")
        if number == 3:
            camera.wall_s += step_s
        camera.run(2)
        camera.report("video")
        assert number == 0 or camera.apart_s == pytest.approx(0, abs=NEAR_S)


def test_timestamps_may_wrap_between_reports() -> None:
    camera = Camera(audio=0.4)
    camera.bases = {"video": WRAP - 200_000, "audio": WRAP - 12_000}
    for _ in range(5):
        camera.run(1)
        camera.report()
    camera.run(1)
    assert camera.apart_s == pytest.approx(0, abs=NEAR_S)


def test_clocks_that_drift_apart_stay_together() -> None:
    camera = Camera(audio=0.4)
    camera.ppm = {"video": 60.0, "audio": -80.0}
    for _ in range(240):
        camera.run(5)
        camera.report()
    assert camera.ticks("audio", 1200) / 8000 - camera.ticks("video", 1200) / 90_000 < -0.15
    assert camera.apart_s == pytest.approx(0, abs=0.01)


def test_noise_in_reports_is_smoothed() -> None:
    camera = Camera(audio=0.4)
    chance = random.Random(1)
    for number in range(40):
        camera.run(1)
        for kind in RATES:
            camera.report(kind, noise_s=chance.uniform(-0.04, 0.04))
        assert number < 20 or abs(camera.apart_s) < 0.05


def test_sound_whose_stamps_begin_anew_is_found_again_with_the_next_report() -> None:
    camera = Camera(audio=0.4)
    camera.run(1)
    camera.report()
    camera.run(1)
    camera.bases["audio"] = 900_000  # as a camera does whose sound was switched off and on
    camera.run(1)
    camera.report()
    camera.run(1)
    assert camera.apart_s == pytest.approx(0, abs=NEAR_S)


def test_a_silence_changes_nothing() -> None:
    camera = Camera(audio=0.4)
    camera.run(1)
    camera.report()
    camera.run(1)
    for number in range(250):
        camera.send("video", camera.made_s + number * 0.04)
    camera.made_s += 10
    camera.run(0.1)
    assert camera.apart_s == pytest.approx(0, abs=NEAR_S)


def test_streams_that_are_really_too_far_apart_are_left_as_they_come() -> None:
    camera = Camera(audio=MAX_APART_S + 0.5)
    camera.run(1)
    camera.report()
    camera.run(1)
    assert camera.clock.sound_late_s is None
    assert camera.apart_s == pytest.approx(MAX_APART_S + 0.48, abs=NEAR_S)


def test_where_streams_began_counts_until_there_are_reports() -> None:
    camera = Camera(audio=0.3)
    for kind in RATES:
        camera.clock.began(kind, camera.stamp(kind, -0.007))
    camera.run(1)
    assert camera.apart_s == pytest.approx(0, abs=NEAR_S)
    camera.report("audio")
    camera.report("video", noise_s=0.2)
    assert camera.clock.sound_late_s == pytest.approx(0.48, abs=NEAR_S)


@pytest.mark.parametrize(("video_s", "audio_s"), [(0.0, 0.0), (0.0, 5000.0), (-0.1, 0.9)])
def test_a_beginning_that_is_made_up_is_not_believed(video_s: float, audio_s: float) -> None:
    camera = Camera()
    camera.clock.began("video", camera.stamp("video", video_s))
    camera.clock.began("audio", camera.stamp("audio", audio_s))
    camera.run(1)
    assert camera.clock.sound_late_s is None


def test_a_camera_without_sound_needs_no_reports() -> None:
    clock = CameraClock()
    assert clock.picture(7, 0, 100.0) == 100.0
    clock.report("video", NTP_2026 * WRAP, 7, 100.0)
    assert clock.picture(3607, 3600, 100.05) == pytest.approx(100.04, abs=0.001)

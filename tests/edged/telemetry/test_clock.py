"""The machine's clocks, read from a machine made of files."""

import asyncio

import pytest

from edged.telemetry.clock import Clock
from edged.telemetry.moments import Moment

WALL_MS = 1_790_000_000_000


class Machine:
    """A board without a battery clock whose time nobody has set."""

    def __init__(self, root):
        self.root = root
        self.runtime_dir = root / "run/edged"
        self.runtime_dir.mkdir(parents=True)
        self.uptime_ms = 5_000
        self.wall_ms = WALL_MS
        self.kernel_says_set = False
        self.asked = 0
        self.write("proc/sys/kernel/random/boot_id", "6c1f\n")
        (root / "sys/firmware/devicetree/base").mkdir(parents=True)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def clock(self, **options):
        def kernel_says_set():
            self.asked += 1
            return self.kernel_says_set

        return Clock(
            root=self.root,
            runtime_dir=self.runtime_dir,
            uptime_ms=lambda: self.uptime_ms,
            wall_ms=lambda: self.wall_ms,
            kernel_says_set=kernel_says_set,
            **options,
        )

    def passes(self, ms):
        self.uptime_ms += ms
        self.wall_ms += ms


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_moment_has_the_boot_both_clocks_and_whether_to_trust_them(machine):
    clock = machine.clock()
    assert clock.now() == Moment("6c1f", 5_000, WALL_MS, False)
    machine.passes(1)
    assert clock.now() == Moment("6c1f", 5_001, WALL_MS + 1, False)


def test_the_kernel_is_asked_once_a_second_until_the_clock_is_set(machine):
    clock = machine.clock()
    for _ in range(999):
        clock.now()
        machine.passes(1)
    assert machine.asked == 1
    machine.kernel_says_set = True
    machine.passes(1)
    assert clock.now().is_set
    assert machine.asked == 2
    machine.passes(10_000)
    assert clock.now().is_set
    assert machine.asked == 2


def test_a_clock_once_set_stays_so_when_the_time_service_is_lost_even_after_a_restart(machine):
    machine.kernel_says_set = True
    clock = machine.clock()
    assert clock.now().is_set
    machine.kernel_says_set = False
    machine.passes(40_000_000)
    assert clock.now().is_set
    assert machine.clock().now().is_set


def test_timesyncd_has_left_a_mark(machine):
    machine.write("run/systemd/timesync/synchronized", "")
    assert machine.clock().now().is_set


async def test_where_the_kernel_may_not_be_asked_systemd_is(machine):
    machine.kernel_says_set = None
    answer = machine.root / "answer"
    answer.write_text("no\n")
    clock = machine.clock(question=("cat", str(answer)))
    assert not clock.now().is_set
    async with asyncio.timeout(10):
        while clock._time_service._asked is not None:
            await asyncio.sleep(0.005)
            machine.passes(1_000)
            assert not clock.now().is_set
        answer.write_text("yes\n")
        machine.passes(30_000)
        while not clock.now().is_set:
            await asyncio.sleep(0.005)
            machine.passes(1_000)


def test_where_nobody_can_be_asked_the_clock_is_not_set(machine):
    machine.kernel_says_set = None
    clock = machine.clock(question=("/does/not/exist",))
    for _ in range(3):
        assert not clock.now().is_set
        machine.passes(30_000)


def test_somebody_who_sets_the_clock_by_hand_is_believed(machine):
    clock = machine.clock()
    assert not clock.now().is_set
    machine.passes(1_500)
    assert not clock.now().is_set
    machine.passes(1_500)
    machine.wall_ms += 3_600_000
    assert clock.now().is_set


def test_a_clock_set_back_to_1970_is_not_trusted(machine):
    machine.kernel_says_set = True
    clock = machine.clock()
    assert clock.now().is_set
    machine.passes(1_000)
    machine.wall_ms = 1_000
    assert not clock.now().is_set


@pytest.mark.parametrize(
    ("text", "is_set"), [(f"{WALL_MS // 1000}\n", True), ("600", False), ("", False), ("x", False)]
)
def test_a_battery_clock_must_agree(machine, text, is_set):
    machine.write("sys/class/rtc/rtc0/since_epoch", text)
    assert machine.clock().now().is_set is is_set


def test_a_clock_that_somebody_answers_for_needs_no_sign(machine):
    assert machine.clock(is_trusted=True).now().is_set
    assert not machine.clock().now().is_set
    machine.wall_ms = 1_000
    assert not machine.clock(is_trusted=True).now().is_set


def test_a_machine_that_is_no_board_has_its_hosts_time(machine):
    (machine.root / "sys/firmware/devicetree/base").rmdir()
    assert machine.clock().now().is_set


def test_a_service_that_may_not_see_the_boot_id_is_told_it(machine, monkeypatch):
    (machine.root / "proc/sys/kernel/random/boot_id").unlink()
    monkeypatch.setenv("EDGED_BOOT_ID", "9b18")
    assert machine.clock().now().boot == "9b18"
    assert machine.clock(boot="77").now().boot == "77"
    monkeypatch.delenv("EDGED_BOOT_ID")
    assert machine.clock().now().boot == ""


def test_a_runtime_directory_that_is_gone_stops_nothing(machine):
    machine.runtime_dir.rmdir()
    machine.kernel_says_set = True
    assert machine.clock().now().is_set


def test_the_real_clocks_go_forward(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    clock = Clock()
    first, second = clock.now(), clock.now()
    assert second.uptime_ms >= first.uptime_ms > 0
    assert first.boot == second.boot
    assert abs(second.wall_ms - first.wall_ms) < 60_000
    assert first.is_set is second.is_set

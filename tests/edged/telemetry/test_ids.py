"""The ids of readings: new ones for new messages, the same one when a message comes again."""

from __future__ import annotations

import pytest

from edged.telemetry.ids import PACKET_IDS, ReadingIds, area_bytes


class Dying:
    """Memory of a process that has died: what it stores after that is not stored."""

    def __init__(self, memory, left):
        self.memory = memory
        self.left = left

    def __getitem__(self, index):
        return self.memory[index]

    def __setitem__(self, index, value):
        if self.left[0] > 0:
            self.left[0] -= 1
            self.memory[index] = value


class Numbering:
    """The ids of one machine boot; `die` begins a new process on the same memory."""

    def __init__(self):
        self.area = memoryview(bytearray(area_bytes()))
        self.now_s = 0.0
        self.die()

    def die(self):
        self.ids = ReadingIds("g", "life", self.area)
        self.ids.connecting()

    def die_after(self, stores):
        """Let the memory take so many stores more."""
        left = [stores]
        for name in ("_head", "_prints", "_sequences", "_acked_in"):
            setattr(self.ids, name, Dying(getattr(self.ids, name), left))

    def new(self, packet_id, payload=b"21.5", topic="t"):
        return self.ids.take(topic, payload, packet_id, self.now_s, repeated=False)

    def again(self, packet_id, payload=b"21.5", topic="t"):
        return self.ids.take(topic, payload, packet_id, self.now_s, repeated=True)

    def ack(self, packet_id):
        self.ids.acknowledged(packet_id, self.now_s)

    def prove_order(self, first=1):
        """Let the broker show that it counts on; return the next packet id."""
        for packet_id in range(first, first + 4):
            self.new(packet_id)
            self.ack(packet_id)
            self.now_s += 1
        return first + 4


@pytest.fixture
def numbering():
    return Numbering()


def test_ids_are_gateway_life_and_sequence(numbering):
    assert [numbering.new(n) for n in (1, 2, 3)] == ["g/life/1", "g/life/2", "g/life/3"]


def test_a_restart_goes_on_counting(numbering):
    numbering.new(1)
    numbering.die()
    assert numbering.new(2) == "g/life/2"


@pytest.mark.parametrize("torn", [0, 1])
def test_a_torn_sequence_never_goes_back(numbering, torn):
    for packet_id in range(1, 6):
        numbering.new(packet_id)
    numbering.area[:16].cast("Q")[torn] = 0
    numbering.die()
    assert numbering.new(6) == "g/life/6"


def test_what_was_not_acknowledged_keeps_its_id(numbering):
    first = numbering.new(1)
    numbering.die()
    assert numbering.again(1) == first
    numbering.die()
    assert numbering.again(1) == first


@pytest.mark.parametrize("other", [{"payload": b"21.6"}, {"topic": "u"}])
def test_other_words_under_the_same_packet_id_are_another_reading(numbering, other):
    first = numbering.new(1)
    numbering.die()
    assert numbering.again(1, **other) != first


def test_without_the_brokers_word_the_same_words_are_another_reading(numbering):
    first = numbering.new(1)
    numbering.die()
    assert numbering.new(1) != first


def test_qos_0_is_always_new(numbering):
    assert numbering.new(0) != numbering.again(0)


def test_a_broker_that_counts_on_may_repeat_what_is_acknowledged_on_the_next_connection(numbering):
    packet_id = numbering.prove_order()
    first = numbering.new(packet_id)
    numbering.ack(packet_id)
    numbering.die()
    assert numbering.again(packet_id) == first


def test_after_one_more_connection_the_packet_id_may_mean_another_message(numbering):
    packet_id = numbering.prove_order()
    first = numbering.new(packet_id)
    numbering.ack(packet_id)
    numbering.ids.connecting()
    numbering.die()  # of the first nothing was read
    assert numbering.again(packet_id) != first


def test_a_broker_that_uses_packet_ids_again_means_another_message(numbering):
    for _ in range(10):
        first = numbering.new(1)
        numbering.ack(1)
        numbering.now_s += 10
    numbering.die()
    assert numbering.again(1) != first


def test_a_burst_proves_nothing(numbering):
    for packet_id in range(1, 500):
        first = numbering.new(packet_id)
        numbering.ack(packet_id)
    numbering.die()
    assert numbering.again(499) != first


def test_proofs_of_several_short_lives_count_together(numbering):
    for packet_id in (1, 3, 5):
        numbering.new(packet_id)
        numbering.ack(packet_id)
        numbering.now_s += 1
        first = numbering.new(packet_id + 1)
        numbering.ack(packet_id + 1)
        numbering.die()
    assert numbering.again(6) == first


def test_ids_that_come_again_disprove_the_order_for_the_next_process_too(numbering):
    numbering.prove_order(10)
    numbering.new(1)
    numbering.die()
    first = numbering.new(3)
    numbering.ack(3)
    numbering.die()
    assert numbering.again(3) != first


def test_an_acknowledgement_that_an_earlier_connection_may_have_lost_proves_nothing(numbering):
    for packet_id in range(1, 9):
        first = numbering.new(packet_id)
        numbering.ack(packet_id)
        numbering.ids.connecting()
        numbering.now_s += 1
    assert numbering.again(8) != first


def test_another_broker_has_to_show_anew_that_it_counts_on(numbering):
    numbering.prove_order()
    numbering.ids.connecting()
    numbering.ids.session_lost()
    first = numbering.new(1)
    numbering.ack(1)
    numbering.die()
    assert numbering.again(1) != first


def test_what_is_acknowledged_before_ids_came_again_is_not_trusted_after_the_broker_has_proved_its_order_anew(
    numbering,
):
    numbering.prove_order(100)
    first = numbering.new(200)
    numbering.ack(200)
    numbering.new(10)
    numbering.prove_order(11)
    numbering.die()
    assert numbering.again(200) != first


def test_a_message_that_came_again_is_unacknowledged_again(numbering):
    packet_id = numbering.prove_order()
    first = numbering.new(packet_id)
    numbering.ack(packet_id)
    for _ in range(3):
        numbering.die()
        assert numbering.again(packet_id) == first


@pytest.mark.parametrize("stores", range(8))
def test_a_process_that_dies_between_two_stores_leaves_no_words_under_the_number_of_others(numbering, stores):
    numbering.new(1, b"a")
    older = numbering.new(1, b"b")
    numbering.new(1, b"a")
    numbering.die_after(stores)
    numbering.new(1, b"b")
    numbering.die()
    found = numbering.again(1, b"b")
    assert found not in {"g/life/1", older, "g/life/3"}
    assert numbering.new(2) not in {"g/life/1", older, "g/life/3", found}


def test_ids_far_beyond_any_window_prove_that_the_broker_counts_on(numbering):
    first = numbering.new(5000)
    numbering.ack(5000)
    numbering.die()
    assert numbering.again(5000) == first


@pytest.mark.parametrize("we_die_too", [False, True])
def test_a_broker_in_an_earlier_state_may_mean_other_messages(numbering, we_die_too):
    packet_id = numbering.prove_order()
    first = numbering.new(packet_id)
    numbering.ack(packet_id)
    if we_die_too:
        numbering.die()
    else:
        numbering.ids.connecting()
    numbering.new(2)
    assert numbering.again(packet_id) != first


def test_a_broker_that_came_up_in_an_earlier_state_still_counts_on(numbering):
    numbering.prove_order(100)
    numbering.ids.connecting()
    first = numbering.new(50)
    numbering.ack(50)
    numbering.ids.connecting()
    assert numbering.again(50) == first


def test_ids_that_come_back_while_connected_are_ids_that_are_used_again(numbering):
    numbering.prove_order(100)
    numbering.new(50)
    first = numbering.new(51)
    numbering.ack(51)
    numbering.ids.connecting()
    assert numbering.again(51) != first


def test_a_lost_session_forgets_everything_but_the_sequence(numbering):
    assert numbering.new(1) == "g/life/1"
    numbering.ids.session_lost()
    assert numbering.again(1) == "g/life/2"


def test_when_packet_ids_have_gone_round_the_old_ones_are_forgotten(numbering):
    for packet_id in range(1, PACKET_IDS):
        numbering.new(packet_id)
    held = numbering.new(1, b"held")
    assert numbering.again(50_000) == "g/life/50000"
    for packet_id in range(2, 24_000):
        numbering.new(packet_id)
    assert numbering.again(1, b"held") == held
    for packet_id in range(24_000, 40_000):
        numbering.new(packet_id)
    assert numbering.again(1, b"held") != held
    assert numbering.again(50_000) != "g/life/50000"
    assert numbering.again(65_000) != "g/life/65000"


def test_a_leap_over_many_ids_forgets_what_it_leaps_over(numbering):
    old = numbering.new(20_000)
    numbering.new(40_000)
    numbering.new(60_000)
    numbering.new(15_000)
    numbering.new(19_999)
    assert numbering.again(20_000) != old


def test_connections_are_counted_beyond_two_bytes(numbering):
    packet_id = numbering.prove_order()
    first = numbering.new(packet_id)
    for _ in range(70_000):
        numbering.ids.connecting()
    assert numbering.again(packet_id) != first
    assert numbering.new(packet_id + 1).startswith("g/life/")


def test_what_was_taken_and_never_acknowledged_is_owed_to_the_next_process(numbering):
    numbering.new(1)
    numbering.new(2)
    numbering.ack(2)
    numbering.die()
    owed = numbering.ids.is_owed
    assert owed("t", b"21.5", 1)
    assert not owed("t", b"21.5", 2), "it was acknowledged: held back, or safe"
    assert not owed("t", b"21.6", 1)
    assert not owed("u", b"21.5", 1)
    assert not owed("t", b"21.5", 3), "never seen"
    assert not owed("t", b"21.5", 0), "nobody repeats a message of QoS 0"
    numbering.ids.session_lost()
    assert not owed("t", b"21.5", 1)


def test_to_ask_whether_a_message_is_owed_gives_out_no_id(numbering):
    first = numbering.new(1)
    numbering.die()
    assert numbering.ids.is_owed("t", b"21.5", 1)
    assert numbering.again(1) == first
    assert numbering.new(2) == "g/life/2"

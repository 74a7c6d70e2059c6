from edged.errors import BrokerLostError, BrokerRefusedError, EdgedError, MqttError, StoreCorruptError, StoreError


def test_an_error_is_its_sentence():
    assert str(EdgedError("the broker is gone")) == "the broker is gone"


def test_faults_that_need_a_hand_wait_longer_and_may_be_told_how_long():
    assert EdgedError("x").retry_after_s is None
    assert BrokerRefusedError("x").retry_after_s == 60
    assert BrokerLostError("x", retry_after_s=10).retry_after_s == 10
    assert BrokerLostError("x").retry_after_s is None


def test_types_say_what_to_do():
    assert issubclass(BrokerRefusedError, MqttError)
    assert issubclass(StoreCorruptError, StoreError)

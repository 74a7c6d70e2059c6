"""The gateway's name where nobody has given one."""

import pytest

from edged.gateway_name import gateway_name
from edged.settings import GatewaySettings, Settings


@pytest.mark.parametrize(
    ("given", "host", "name"),
    [("farm-1", "pi", "farm-1"), ("", "pi", "pi"), ("", "", "gateway"), ("", "my pi!", "gateway")],
)
def test_the_gateway_has_a_name_whatever_the_host_is_called(given, host, name):
    assert gateway_name(Settings(gateway=GatewaySettings(name=given)), host) == name

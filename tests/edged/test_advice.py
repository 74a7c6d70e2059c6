"""`edged check` warns of what is allowed and hardly meant."""

from __future__ import annotations

import pytest

from edged.advice import advice
from edged.cli import main
from edged.settings import GatewaySettings, RouteSettings, Settings, TelemetrySettings
from edged.settings_commands import CommandRuleSettings, CommandSettings, SenderSettings


def settings(*topics, commands=(), echo=False):
    return Settings(
        gateway=GatewaySettings(name="farm-1"),
        telemetry=TelemetrySettings(routes=tuple(RouteSettings(topic=topic) for topic in topics)),
        commands=CommandSettings(
            rules=tuple(
                CommandRuleSettings(topics=(pattern,), sender=SenderSettings(metadata={"role": "x"}), echo=echo)
                for pattern in commands
            )
        ),
    )


@pytest.mark.parametrize("pattern", ["farm/+/set", "farm/{sender.barn}/set", "+/b1/set"])
def test_a_route_that_selects_topics_of_commands_is_told_what_it_gets(pattern):
    (said,) = advice(settings("garden/x", "farm/{barn}/#", commands=["other/x", pattern]))
    assert f"telemetry.routes[1] (farm/{{barn}}/#) selects topics of commands.rules[1] ({pattern})" in said
    assert "set echo: true on the rule" in said


@pytest.mark.parametrize(
    "quiet",
    [
        settings("farm/+/temp", commands=["farm/+/set"]),
        settings("farm/#", commands=["farm/+/set"], echo=True),
        settings("#", commands=["farm/+/set"]),
        settings("edged/farm-2/#", "#", "edged/#"),
        Settings(),
    ],
)
def test_what_is_meant_is_not_warned_of(quiet):
    assert not list(advice(quiet))


def test_a_route_for_the_gateways_own_state_gets_nothing():
    (said,) = advice(settings("edged/farm-1/+/camera"))
    assert "it gets nothing; remove it, or set site.topic" in said


def test_commands_for_everybody_are_warned_of():
    rule = CommandRuleSettings(topics=("#",), sender=SenderSettings(anyone=True))
    assert any("everybody" in said for said in advice(Settings(commands=CommandSettings(rules=(rule,)))))


def test_check_says_it(tmp_path, capsys):
    file = tmp_path / "edged.yaml"
    file.write_text("gateway: {name: g}\nhub: {key: k}\ntelemetry: {routes: [{topic: edged/g/state}]}\n")
    assert main(["check", str(file)]) == 0
    assert "warning: telemetry.routes[0] (edged/g/state) selects only" in capsys.readouterr().err

"""An audio agent: it hears what a caller says, and answers with a voice of its own."""

import asyncio

from stage import Audience, arrives, perform, pitch_hz, play_tone

import metered_realtime as sdk

FACTS = (
    "the agent hears the caller's tone",
    "the caller hears the agent's tone",
    "the agent answers in words what it heard",
    "the caller hears silence while nothing is pushed",
    "a tone pushed after a pause is heard",
)


async def play(stage):
    agent, caller = await stage.peer("b-agent"), await stage.peer("a-caller")
    of_agent, of_caller = Audience(agent), Audience(caller)
    voice, mouth = sdk.AudioSource(input_rate=16_000), sdk.AudioSource(input_rate=16_000)
    agent.add_stream(sdk.MediaStream([voice], id="voice"), {"role": "agent"})
    caller.add_stream(sdk.MediaStream([mouth], id="mouth"))
    await stage.meet(caller, agent)
    async with asyncio.TaskGroup() as tasks:
        speaking = [tasks.create_task(play_tone(voice, 880)), tasks.create_task(play_tone(mouth, 440))]
        stage.fact("the agent hears the caller's tone", await of_agent.hears(420, 460))
        stage.fact("the caller hears the agent's tone", await of_caller.hears(860, 900))
        heard_hz = sorted(filter(None, map(pitch_hz, of_agent.frames)))
        await of_agent.remote.send({"heard_hz": round(heard_hz[len(heard_hz) // 2], -1)})
        told = await arrives(lambda: [e.data for e in of_caller.all(sdk.Data)] == [{"heard_hz": 440}])
        stage.fact("the agent answers in words what it heard", told)
        for task in speaking:
            task.cancel()
    await arrives(lambda: voice.buffered_seconds == 0)
    await asyncio.sleep(0.5)  # what is on its way
    of_caller.frames.clear()
    await arrives(lambda: len(of_caller.frames) >= 20)
    quiet = len(of_caller.frames) >= 20 and not any(map(pitch_hz, of_caller.frames))
    stage.fact("the caller hears silence while nothing is pushed", quiet)
    again = asyncio.create_task(play_tone(voice, 660))
    stage.fact("a tone pushed after a pause is heard", await of_caller.hears(640, 680))
    again.cancel()
    voice.end()
    mouth.end()


perform(play, FACTS)

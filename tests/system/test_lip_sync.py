"""A camera whose sound leaves it long after its picture, and a browser that plays the two together all the same."""

from __future__ import annotations

import pytest

from scripts.lib.browser import Browser
from tests.system.conftest import CHANNEL, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
LATE_MS = 180
TOGETHER_MS = 80
SMALL = ("--width", "320", "--height", "240", "--kbps", "300", "--gop", "30")

# Notes when the lamp is seen to go on, and when the horn is heard to begin, on the clock of performance.now().
PAGE = """
    globalThis.flashes = [];
    globalThis.beeps = [];
    globalThis.peer = new sdk.MeteredPeer({ apiKey: arg.key, url: arg.url });
    const look = (video) => {
      const canvas = new OffscreenCanvas(1, 1), pen = canvas.getContext("2d", { willReadFrequently: true });
      let isLit = false;
      const shown = (now, { expectedDisplayTime }) => {
        pen.drawImage(video, 0, 0, 1, 1);
        const lit = pen.getImageData(0, 0, 1, 1).data[1] > 128;
        if (lit && !isLit) flashes.push(expectedDisplayTime);
        isLit = lit;
        video.requestVideoFrameCallback(shown);
      };
      video.requestVideoFrameCallback(shown);
    };
    const listen = async (stream) => {
      const context = new AudioContext({ latencyHint: "interactive" });
      const code = `registerProcessor("ear", class extends AudioWorkletProcessor {
        process([[sound = []]]) {
          sound.forEach((sample, number) => {
            if (Math.abs(sample) < 0.1) return;
            const at = currentTime + number / sampleRate;
            if (!(at - this.last < 0.3)) this.port.postMessage(at);
            this.last = at;
          });
          return true;
        }
      })`;
      await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
      const ear = new AudioWorkletNode(context, "ear");
      ear.port.onmessage = ({ data }) => {
        const { contextTime, performanceTime } = context.getOutputTimestamp();
        beeps.push(performanceTime + (data - contextTime) * 1000);
      };
      context.createMediaStreamSource(stream).connect(ear).connect(context.destination);
    };
    let isHeard = false;
    const hear = (stream) => {
      if (isHeard || !stream.getAudioTracks().length) return;
      isHeard = true;
      listen(stream);
    };
    peer.on("peer-joined", ({ peer: remote }) => remote.on("stream-added", ({ stream }) => {
      const video = document.createElement("video");
      Object.assign(video, { autoplay: true, srcObject: stream });
      document.body.append(video);
      look(video);
      hear(stream);
      stream.addEventListener("addtrack", () => hear(stream));
    }));
    await peer.join(arg.channel);
"""
APART = """
    const apart = (flash) => beeps.map((beep) => beep - flash).reduce((a, b) => Math.abs(a) < Math.abs(b) ? a : b, 1e9);
    const known = flashes.filter((flash) => flash < beeps.at(-1) - arg.margin).slice(-arg.count).map(apart);
"""
TOGETHER = APART + "return known.length === arg.count && known.every((ms) => Math.abs(ms) < arg.limit) && known;"


async def test_sound_that_comes_late_is_heard_with_its_picture(site: Site) -> None:
    hub = await site.start_hub()
    camera = await site.start_camera("--sound-late-ms", str(LATE_MS), *SMALL)
    yard = {"source": f"{camera.url}/flash", "audio": "pcma"}
    await site.start_gateway(site.settings(cameras={"yard": yard}))
    async with Browser() as browser:
        page = await browser.open()
        await page.evaluate(PAGE, {"key": hub.key, "url": hub.url, "channel": CHANNEL})
        limits = {"count": 2, "limit": TOGETHER_MS, "margin": LATE_MS * 2}
        await page.wait_for(TOGETHER, limits, timeout_s=90)

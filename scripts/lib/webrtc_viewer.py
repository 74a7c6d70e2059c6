"""A WebRTC viewer that is neither a browser nor ours: GStreamer's webrtcbin, which decodes H.265 in software.

Run it with the system's Python (`/usr/bin/python3`), which has GStreamer's bindings. Lines of JSON on standard input
are offers and candidates of the other side ({"do": "offer", "sdp": ...}, {"do": "candidate", "init": ...}); on standard
output come its answers and candidates, what it is sent, and every picture it has decoded.
"""

import argparse
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

DECODERS = {"H265": "rtph265depay ! h265parse ! avdec_h265", "H264": "rtph264depay ! h264parse ! avdec_h264"}


def tell(event: str, **more: object) -> None:
    """Write one line for whoever started us."""
    print(json.dumps({"event": event, **more}), flush=True)


class Viewer:
    """One connection; `codec` is the only one it takes."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._frames = self._answers = 0
        self._candidates: list[dict[str, object]] = []
        self._pipeline = Gst.Pipeline.new("viewer")
        self._web = Gst.ElementFactory.make("webrtcbin")
        self._web.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._web.set_property("latency", 50)
        self._web.connect("on-new-transceiver", self._restrict)
        self._web.connect("pad-added", self._decode)
        self._web.connect("on-ice-candidate", self._candidate)
        self._web.connect("notify::ice-gathering-state", self._gathered)
        self._web.connect("notify::connection-state", self._moved)
        self._pipeline.add(self._web)
        self._pipeline.set_state(Gst.State.PLAYING)

    def take(self, line: str) -> bool:
        """Do what a line asks for; False, as GLib has it for what is done once."""
        order = json.loads(line)
        if order["do"] == "offer":
            _, sdp = GstSdp.SDPMessage.new_from_text(order["sdp"])
            offer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, sdp)
            self._web.emit("set-remote-description", offer, Gst.Promise.new_with_change_func(self._answer))
        else:
            self._web.emit("add-ice-candidate", order["init"]["sdpMLineIndex"], order["init"]["candidate"])
        return False

    def _restrict(self, _web: object, transceiver: GstWebRTC.WebRTCRTPTransceiver) -> None:
        caps = Gst.Caps.from_string(f"application/x-rtp,media=video,encoding-name={self._codec},clock-rate=90000")
        transceiver.set_property("codec-preferences", caps)

    def _answer(self, _promise: Gst.Promise) -> None:
        self._web.emit("create-answer", None, Gst.Promise.new_with_change_func(self._answered))

    def _answered(self, promise: Gst.Promise) -> None:
        promise.wait()
        reply = promise.get_reply()  # owns the answer
        answer = reply.get_value("answer")
        self._web.emit("set-local-description", answer, None)
        self._answers += 1
        tell("answer", number=self._answers, sdp=answer.sdp.as_text())

    def _candidate(self, _web: object, index: int, candidate: str) -> None:
        self._candidates.append({"candidate": candidate, "sdpMLineIndex": index})

    def _gathered(self, web: Gst.Element, _what: object) -> None:
        if web.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            tell("candidates", inits=self._candidates)

    def _moved(self, web: Gst.Element, _what: object) -> None:
        tell("state", state=web.get_property("connection-state").value_nick)

    def _decode(self, _web: object, pad: Gst.Pad) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        codec = pad.get_current_caps().get_structure(0).get_string("encoding-name")
        tell("track", codec=codec)
        sink = "fakesink name=out sync=false signal-handoffs=true"
        chain = Gst.parse_bin_from_description(f"queue ! {DECODERS[codec]} ! {sink}", True)
        chain.get_by_name("out").connect("handoff", self._shown)
        self._pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    def _shown(self, _sink: object, _buffer: Gst.Buffer, pad: Gst.Pad) -> None:
        self._frames += 1
        size = pad.get_current_caps().get_structure(0)
        tell("picture", number=self._frames, width=size.get_value("width"), height=size.get_value("height"))


def main() -> int:
    """View until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", choices=DECODERS, default="H265", help="the only codec it takes")
    options = parser.parse_args()
    Gst.init(None)
    viewer, loop = Viewer(options.codec), GLib.MainLoop()

    def read() -> None:
        for line in sys.stdin:
            GLib.idle_add(viewer.take, line)
        GLib.idle_add(loop.quit)

    threading.Thread(target=read, daemon=True).start()
    tell("ready")
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

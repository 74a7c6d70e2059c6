"""The camera of the bench `video`: gst-rtsp-server with pictures encoded once, so that it costs next to nothing.

Run it with the system's Python, which has GStreamer's bindings. `--mount NAME=GOP` is served at /NAME with that many
pictures from key frame to key frame; what it sends is kept in FOLDER/NAME.h264, access unit after access unit, each
behind its length in four bytes. When it accepts connections it prints {"event": "ready", "url": "rtsp://..."}.
"""

import argparse
import json
import signal
import struct
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

SIZE = (1280, 720)
FPS = 30
KBPS = 2000
LENGTH = struct.Struct(">I")
CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
SERVE = f"( appsrc name=src is-live=true do-timestamp=true format=time caps={CAPS} ! rtph264pay name=pay0 pt=96 )"


def encode(gop: int, seconds: int) -> list[bytes]:
    """Return the access units of a moving picture with some noise in it, which gives the encoder work."""
    pipeline = Gst.parse_launch(
        f"videotestsrc num-buffers={seconds * FPS} pattern=smpte horizontal-speed=4 "
        f"! video/x-raw,width={SIZE[0]},height={SIZE[1]},framerate={FPS}/1,format=I420 "
        f"! x264enc tune=zerolatency speed-preset=ultrafast sliced-threads=false threads=2 key-int-max={gop} "
        f"option-string=scenecut=0:keyint-min={gop} bitrate={KBPS} "
        f"! {CAPS},profile=constrained-baseline ! appsink name=out sync=false"
    )
    out = pipeline.get_by_name("out")
    pipeline.set_state(Gst.State.PLAYING)
    units = []
    while (sample := out.emit("pull-sample")) is not None:
        buffer = sample.get_buffer()
        units.append(buffer.extract_dup(0, buffer.get_size()))
    pipeline.set_state(Gst.State.NULL)
    return units


def units_of(file: Path, gop: int, seconds: int) -> list[bytes]:
    """Return what the file holds; it is made where it is missing."""
    if not file.exists():
        fresh = file.with_suffix(".part")
        fresh.write_bytes(b"".join(LENGTH.pack(len(unit)) + unit for unit in encode(gop, seconds)))
        fresh.rename(file)
    data, units, begin = file.read_bytes(), [], 0
    while begin < len(data):
        (length,) = LENGTH.unpack_from(data, begin)
        units.append(data[begin + LENGTH.size : begin + LENGTH.size + length])
        begin += LENGTH.size + length
    return units


class Pusher(threading.Thread):
    """Pushes the pictures into one pipeline, FPS a second, from a key frame on and for ever."""

    def __init__(self, source: Gst.Element, units: list[bytes]) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._units = units
        self._ended = threading.Event()

    def end(self, *_: object) -> None:
        self._ended.set()

    def run(self) -> None:
        begin_s, number = time.monotonic(), 0
        while not self._ended.wait(max(0.0, begin_s + number / FPS - time.monotonic())):
            buffer = Gst.Buffer.new_wrapped(self._units[number % len(self._units)])
            if self._source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            number += 1


def mount(server: GstRtspServer.RTSPServer, path: str, units: list[bytes]) -> None:
    """Serve the pictures at `path`; all who watch get the same, from one pipeline."""

    def configure(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        pusher = Pusher(media.get_element().get_by_name("src"), units)
        media.connect("unprepared", pusher.end)
        pusher.start()

    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(SERVE)
    factory.set_shared(True)
    factory.set_latency(0)
    factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP)
    factory.connect("media-configure", configure)
    server.get_mount_points().add_factory(path, factory)


def main() -> int:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--folder", type=Path, required=True, help="where the encoded pictures are kept")
    parser.add_argument("--seconds", type=int, required=True, help="after which the pictures begin anew")
    parser.add_argument("--mount", metavar="NAME=GOP", action="append", required=True)
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    for name, gop in (word.split("=") for word in options.mount):
        mount(server, f"/{name}", units_of(options.folder / f"{name}.h264", int(gop), options.seconds))
    if server.attach(None) == 0:
        print(f"video_rtsp_camera: port {options.port} on 127.0.0.1 is in use: choose another", file=sys.stderr)
        return 1
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    print(json.dumps({"event": "ready", "url": f"rtsp://127.0.0.1:{server.get_bound_port()}"}), flush=True)
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

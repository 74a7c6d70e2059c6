"""A real RTSP camera for demos and tests: gst-rtsp-server with a moving picture, several codecs and faults.

Run it with the system's Python (`/usr/bin/python3`), which has GStreamer's bindings. When it accepts
connections it prints one JSON line on standard output: {"event": "ready", "url": "rtsp://127.0.0.1:PORT"}.
"""

import argparse
import json
import signal
import sys

import gi

gi.require_version("Gio", "2.0")
gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402
from rtsp_camera_flash import flashing, keep_flashing  # noqa: E402 - beside this program

PARAMETER_SETS_IN_BAND = "config-interval=-1"
TUNE = "tune=zerolatency speed-preset=ultrafast"
ROLE = "viewer"
RESIZE_AFTER_MS = 1000
TRANSPORTS = {
    "both": GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP,
    "tcp": GstRtsp.RTSPLowerTrans.TCP,
    "udp": GstRtsp.RTSPLowerTrans.UDP,
}


def mounts(options: argparse.Namespace) -> dict[str, str]:
    """Return path -> GStreamer launch line."""
    gop, width, height, fps, kbps = options.gop, options.width, options.height, options.fps, options.kbps
    late = {"picture_late_ms": options.picture_late_ms, "sound_late_ms": options.sound_late_ms}
    size = f"video/x-raw,width={width},height={height},framerate={fps}/1,format=I420"
    ball = f"videotestsrc is-live=true pattern=ball ! {size} ! "
    clock = 'timeoverlay font-desc="Sans 24" ! clockoverlay halignment=right font-desc="Sans 24" ! '
    smpte = f"videotestsrc is-live=true pattern=smpte horizontal-speed=4 ! {size} ! {clock}"
    baseline = "video/x-h264,profile=constrained-baseline"
    pay264 = "rtph264pay name=pay0 pt=96"

    def x264(key_frames: int) -> str:
        return f"x264enc {TUNE} key-int-max={key_frames} bitrate={kbps} ! "

    cam = f"{smpte}{x264(gop)}{baseline} ! {pay264} {PARAMETER_SETS_IN_BAND}"
    return {
        "/cam": cam,
        "/ball": f"{ball}{clock}{x264(gop)}{baseline} ! {pay264} {PARAMETER_SETS_IN_BAND}",
        "/alaw": f"{cam} audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=8000,channels=1 "
        "! alawenc ! rtppcmapay name=pay1 pt=8",
        "/ulaw": f"{cam} audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=8000,channels=1 "
        "! mulawenc ! rtppcmupay name=pay1 pt=0",
        "/opus": f"{cam} audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=48000,channels=2 "
        "! opusenc ! rtpopuspay name=pay1 pt=97",
        "/aac": f"{cam} audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=48000,channels=2 "
        "! avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97",
        "/flash": flashing(size, f"{x264(gop)}{baseline}", f"{pay264} {PARAMETER_SETS_IN_BAND}", **late),
        # Several slices a picture, a packet each at least.
        "/slices": f"{ball}x264enc {TUNE} key-int-max={gop} bitrate={kbps} sliced-threads=true threads=4 ! "
        f"{baseline} ! {pay264} {PARAMETER_SETS_IN_BAND}",
        # The picture changes its size every second, as when somebody changes a camera's settings.
        "/resize": f"videotestsrc is-live=true pattern=ball ! capsfilter name=size caps={size} ! "
        f"{x264(gop)}{baseline} ! {pay264} {PARAMETER_SETS_IN_BAND}",
        "/422": f"videotestsrc is-live=true pattern=ball ! {size.replace('I420', 'Y42B')} ! {x264(gop)}"
        f"video/x-h264,profile=high-4:2:2 ! {pay264} {PARAMETER_SETS_IN_BAND}",
        "/longgop": f"{ball}{clock}{x264(600)}{baseline} ! {pay264} {PARAMETER_SETS_IN_BAND}",
        # Without config-interval, and as AVC: the parameter sets are in the SDP and nowhere else.
        "/nosps": f"{ball}{x264(gop)}{baseline},stream-format=avc ! {pay264} config-interval=0",
        "/bframes": f"{ball}x264enc speed-preset=ultrafast bframes=3 b-adapt=false key-int-max={gop} "
        f"bitrate={kbps} ! video/x-h264,profile=high ! {pay264} {PARAMETER_SETS_IN_BAND}",
        "/h265": f"{ball}x265enc {TUNE} key-int-max={gop} bitrate={kbps} ! "
        f"rtph265pay name=pay0 pt=96 {PARAMETER_SETS_IN_BAND}",
        "/mjpeg": f"{ball}jpegenc ! rtpjpegpay name=pay0 pt=26",
    }


def require_login(server: GstRtspServer.RTSPServer, *, method: str, login: str) -> None:
    """Make the whole server ask for `login` ("user:password") by `method` ("digest" or "basic")."""
    user, _, password = login.partition(":")
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE)
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def use_tls(server: GstRtspServer.RTSPServer, certificate_file: str, key_file: str) -> None:
    """Speak rtsps:// with this certificate, and let everybody in."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(certificate_file, key_file))
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE)
    auth.set_default_token(token)
    server.set_auth(auth)


def keep_resizing(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    """Swap the picture's size for a smaller one and back, for as long as the media lives."""
    size = media.get_element().get_by_name("size")
    sizes = [size.get_property("caps"), size.get_property("caps").copy()]
    _, width = sizes[0].get_structure(0).get_int("width")
    _, height = sizes[0].get_structure(0).get_int("height")
    sizes[1].set_value("width", width // 2)
    sizes[1].set_value("height", height // 2)

    def swap() -> bool:
        sizes.reverse()
        size.set_property("caps", sizes[0])
        return True

    timer = GLib.timeout_add(RESIZE_AFTER_MS, swap)
    media.connect("unprepared", lambda _media: GLib.source_remove(timer))


def add_mounts(
    server: GstRtspServer.RTSPServer, lines: dict[str, str], *, with_login: bool, transport: str = "both"
) -> None:
    """Mount every launch line; one pipeline serves all viewers of a path."""
    for path, line in lines.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {line} )")
        factory.set_shared(True)
        factory.set_latency(0)
        factory.set_protocols(TRANSPORTS[transport])
        if path == "/resize":
            factory.connect("media-configure", keep_resizing)
        if path == "/flash":
            factory.connect("media-configure", keep_flashing)
        if with_login:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role(ROLE, "media.factory.access", True)
            permissions.add_permission_for_role(ROLE, "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, nargs="?", default=0, help="port on 127.0.0.1; 0 picks a free one")
    login = parser.add_mutually_exclusive_group()
    login.add_argument("--digest", metavar="USER:PASSWORD", help="ask everybody for this login, by digest")
    login.add_argument("--basic", metavar="USER:PASSWORD", help="ask everybody for this login, by basic")
    login.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="speak rtsps://, with these PEM files")
    parser.add_argument("--transport", choices=TRANSPORTS, default="both", help="what RTP is sent over")
    parser.add_argument("--gop", type=int, default=60, help="frames from key frame to key frame")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--kbps", type=int, default=2000)
    parser.add_argument("--picture-late-ms", type=int, default=0, help="of /flash: how late its picture leaves")
    parser.add_argument("--sound-late-ms", type=int, default=0, help="of /flash: how late its sound leaves")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the starter is gone")
    return parser.parse_args()


def main() -> int:
    """Serve until a signal comes."""
    options = parse_arguments()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    login = options.digest or options.basic
    if login:
        require_login(server, method="digest" if options.digest else "basic", login=login)
    if options.tls:
        use_tls(server, *options.tls)
    lines = mounts(options)
    add_mounts(server, lines, with_login=bool(login or options.tls), transport=options.transport)
    if server.attach(None) == 0:
        print(f"rtsp_camera: port {options.port} on 127.0.0.1 is in use: choose another", file=sys.stderr)
        return 1
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    if options.until_stdin_closes:
        GLib.io_add_watch(
            GLib.IOChannel.unix_new(0),
            GLib.PRIORITY_DEFAULT,
            GLib.IOCondition.HUP | GLib.IOCondition.IN,
            lambda *_: loop.quit(),
        )
    scheme = "rtsps" if options.tls else "rtsp"
    ready = {"event": "ready", "url": f"{scheme}://127.0.0.1:{server.get_bound_port()}", "paths": list(lines)}
    print(json.dumps(ready), flush=True)
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

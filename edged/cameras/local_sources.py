"""Sources whose libraries are heavy: local cameras, files, and cameras that have to be decoded. Loaded with the first
camera that needs one."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from edged.cameras.file_session import FileSession
from edged.cameras.pictures import Pictures, tls_of
from edged.cameras.session_pictures import Session, SessionPictures
from edged.settings import CameraSettings
from metered_realtime.media.camera_source import CameraSource
from metered_realtime.media.ffmpeg_input import FfmpegInput
from metered_realtime.media.ffmpeg_source import FfmpegSource
from metered_realtime.media.rtsp_source import RtspSource, ffmpeg_options, shown_address
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.v4l2_controls import set_controls, suggest_encoding
from metered_realtime.media.v4l2_device import V4l2System
from metered_realtime.media.video_settings import AUTO_ENCODER, EncoderSettings

# A newcomer waits for no key frame, and one who lost pictures for as long at most.
_KEY_FRAME_INTERVAL_S = 2.0


def encoder_settings(settings: CameraSettings) -> EncoderSettings:
    """Return how the pictures of a camera are encoded."""
    return EncoderSettings(
        codec="H264",
        bitrate_bps=settings.bitrate_kbps * 1000,
        fps=settings.fps,
        key_frame_interval_s=_KEY_FRAME_INTERVAL_S,
        max_size=(settings.width, settings.height),
        encoder=None if settings.encoder == "software" else settings.encoder or AUTO_ENCODER,
    )


def v4l2_pictures(
    path: str, settings: CameraSettings, *, encode: bool, system: V4l2System | None = None
) -> AbstractAsyncContextManager[Pictures]:
    """Return a camera of this machine: its own H.264, or what else it gives, encoded."""
    camera = CameraSource(
        path, width=settings.width, height=settings.height, fps=settings.fps, passthrough=not encode, system=system
    )

    async def session(sink: SourceSink) -> None:
        await asyncio.to_thread(_set_up, path, settings, encode=encode, system=system)
        await camera(sink)

    if encode:
        return SessionPictures(session, name=camera.name, encoder=encoder_settings(settings))
    return SessionPictures(session, name=camera.name, request_key_frame=camera.request_key_frame)


def _set_up(path: str, settings: CameraSettings, *, encode: bool, system: V4l2System | None) -> None:
    """First what we would like of an encoder in the camera, then what its owner wants."""
    if not encode:
        gop_pictures = round(settings.fps * _KEY_FRAME_INTERVAL_S)
        suggest_encoding(path, bitrate_bps=settings.bitrate_kbps * 1000, gop_pictures=gop_pictures, system=system)
    if settings.controls:
        set_controls(path, settings.controls, system)


def file_pictures(path: str, settings: CameraSettings, *, encode: bool) -> AbstractAsyncContextManager[Pictures]:
    """Return a file that is played over and over."""
    session = FileSession(path, decode=encode)
    encoder = encoder_settings(settings) if encode else None
    return SessionPictures(session, name=session.name, encoder=encoder)


def rtsp_pictures(url: str, settings: CameraSettings, *, is_h264: bool) -> AbstractAsyncContextManager[Pictures]:
    """Return an RTSP camera, decoded and encoded; one that is known to send no H.264 is not asked for it again."""
    transport, tls, timeout_s = settings.transport, tls_of(settings), settings.timeout_s
    name = f"the camera at {shown_address(url)}"
    session: Session
    if is_h264:
        session = RtspSource(url, transport=transport, timeout_s=timeout_s, passthrough=False, tls=tls)
    else:
        options = ffmpeg_options(url, transport, tls)
        session = FfmpegSource(FfmpegInput(url, name, options=options, timeout_s=timeout_s))
    return SessionPictures(session, name=name, encoder=encoder_settings(settings), restamp=True)

"""How the certificate of an rtsps:// camera is judged, as both of our roads to it take that."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from metered_realtime.media.source_errors import SourceDeniedError


@dataclass(frozen=True, slots=True)
class RtspTls:
    """`verify`: only a certificate that this machine trusts, or that `ca_file` (PEM) answers for, is accepted.

    Without it the picture is hidden from listeners, and whose it is stays unproven.
    """

    verify: bool = True
    ca_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return it for our own client. Raises SourceDeniedError for a file that holds no certificates."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            why = "it holds no certificates" if isinstance(error, ssl.SSLError) else str(error.strerror)
            raise SourceDeniedError(f"the file {self.ca_file} cannot be used: {why}") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def ffmpeg_options(self) -> tuple[tuple[str, str], ...]:
        """Return it for FFmpeg, which trusts everybody unless it is told otherwise."""
        if not self.verify:
            return (("tls_verify", "0"),)
        # The libraries of a wheel look for the system's certificates where they were built.
        known = self.ca_file or ssl.get_default_verify_paths().cafile
        return (("tls_verify", "1"), *((("ca_file", known),) if known else ()))

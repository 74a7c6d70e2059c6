"""What the pub/sub-only install costs a program: time to import the client, and memory with it. For either SDK."""

import json
import time
from pathlib import Path

begin_s = time.perf_counter()
from metered_realtime import SignallingClient  # noqa: E402  # what is measured

took_s = time.perf_counter() - begin_s
client = SignallingClient(api_key="pk_live_bench", url="ws://127.0.0.1:9")
rss_kib = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
print(json.dumps({"event": "imported", "ms": took_s * 1e3, "rss_mb": int(rss_kib) / 1024}), flush=True)

"""A status as the desk makes it, for what is made of it."""

STATUS = {
    "gateway": "farm-1",
    "version": "1.2.3",
    "started_ms": 1_800_000_030_000,
    "parts": [
        {"name": "telemetry", "state": "live", "detail": "connected to ws://hub", "for_s": 1.0},
        {"name": "camera yard", "state": "idle", "detail": "", "for_s": 1.0},
    ],
    "account": {
        "received": 10,
        "delivered": 6,
        "waiting": 1,
        "dropped": 3,
        "dropped_by_reason": {"no_route": 3},
        "unexplained": 0,
    },
    "figures": {
        "cameras": {
            "yard": {"state": "live", "detail": "", "viewers": 2, "fps": 25.0, "kbps": 1500, "codec": "H264"},
            "yard sub": {"state": "idle", "detail": "", "viewers": 0, "fps": None, "kbps": None, "codec": None},
        },
        "routes": {"farm/+/t": {"readings": 7, "filtered": {}, "last_time_ms": 1_800_000_000_000}},
        "outbox": {"oldest_age_s": 3.4, "on_disk": 0},
        "uplink": {"rtt_ms": 34, "budget": {"used": 1}},
    },
}

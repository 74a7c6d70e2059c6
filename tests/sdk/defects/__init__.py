"""What `tests/sdk/test_official_defects.py` runs: the situations in which the official package fails."""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("browser", "media", "room", "service", "sources")))

"""Modules of the standard library that our libraries import and we never use: not loaded until somebody does.

`websockets` imports `importlib.metadata`, which it uses in development versions only, and paho `urllib.request`, for
proxies. With what these import themselves (mail, HTTP, archives) they are 50 modules and 2 MB of a gateway of sensors.
`importlib.util.LazyLoader` would be for this, but up to Python 3.11 already the `import` makes it load.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

SELDOM_USED = ("importlib.metadata", "urllib.request")
_loading = threading.RLock()


class _Unloaded(ModuleType):
    """Has the name and the place of its module; what is in it, it loads when it is asked for."""

    _is_loading = False

    def __getattr__(self, name: str) -> Any:
        with _loading:
            if self.__class__ is _Unloaded and not self._is_loading:
                self._is_loading = True
                assert self.__spec__ is not None
                assert self.__spec__.loader is not None
                self.__spec__.loader.exec_module(self)
                del self._is_loading
                self.__class__ = ModuleType  # type: ignore[assignment]
        return ModuleType.__getattribute__(self, name)


def load_when_used(names: Iterable[str] = SELDOM_USED) -> None:
    """Let `import` of these modules be free; the first look into one loads it."""
    for name in names:
        spec = None if name in sys.modules else find_spec(name)
        if spec is None or spec.loader is None:
            continue
        module = sys.modules[name] = module_from_spec(spec)
        module.__class__ = _Unloaded
        parent, _, child = name.rpartition(".")
        # `import` does this only where it loads.
        setattr(sys.modules[parent], child, module)

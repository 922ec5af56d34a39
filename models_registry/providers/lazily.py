"""Clients whose import takes seconds of CPU and tens of megabytes, for those who use them."""

from __future__ import annotations

import asyncio
from importlib import import_module
from types import ModuleType

_imported: dict[str, ModuleType] = {}


async def imported(name: str) -> ModuleType:
    """The module, imported in a thread the first time: the event loop goes on."""
    found = _imported.get(name)
    return await asyncio.to_thread(load, name) if found is None else found


def load(name: str) -> ModuleType:
    """Import it now. `sys.modules` would have it while its import still runs."""
    _imported[name] = import_module(name)
    return _imported[name]

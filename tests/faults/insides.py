"""What a server's process has open: sockets, tasks and generators that have not ended.

Those of its start are not counted, for a server takes them out of the collector's sight.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.server import Server
from tests.waiting import until

# Python imports a module of this name at its start, wherever it finds one.
_ON_START = """
import asyncio, gc, json, os, signal, types

def tell(_signal, _frame):
    gc.collect()
    tasks = [each for each in gc.get_objects() if issubclass(type(each), asyncio.Task)]
    asked = [each for each in gc.get_objects() if issubclass(type(each), types.AsyncGeneratorType)]
    counted = {
        "tasks": sum(not each.done() for each in tasks),
        "generators": sum(each.ag_frame is not None for each in asked),
    }
    path = os.environ["INSIDES"]
    with open(path + ".new", "w") as file:
        json.dump(counted, file)
    os.rename(path + ".new", path)

signal.signal(signal.SIGUSR2, tell)
"""


def observed(folder: Path) -> dict[str, str]:
    """The environment of a server into which `insides` can look."""
    module = folder / "sitecustomize.py"
    module.write_text(_ON_START, encoding="utf-8")
    return {"PYTHONPATH": str(folder), "INSIDES": str(folder / "insides.json")}


def insides(server: Server) -> dict[str, int]:
    told = Path(server.environ["INSIDES"])
    told.unlink(missing_ok=True)
    server.send_signal(signal.SIGUSR2)
    until(told.exists, lambda: f"the process tells\n{server.log}", seconds=60)
    counted: dict[str, int] = json.loads(told.read_text())
    return counted | {"sockets": sum(map(_is_socket, Path(f"/proc/{server.pid}/fd").iterdir()))}


def _is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except OSError:
        return False  # closed meanwhile

"""Static files, answered before Django: as a middleware they would cost every request a hop."""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from whitenoise import WhiteNoise

from common import request_log
from common.addresses import client_address
from common.request_headers import request_id_of
from common.security_headers import everywhere

_CHUNK = 256 << 10


@functools.cache
def _library() -> WhiteNoise:
    """Every file below STATIC_URL: the collected ones, else where the apps keep theirs.

    The first folder that has a name wins, as with `collectstatic`. Only what was collected is
    listed once and for all; the apps' own files may be edited while the server runs.
    """
    collected = Path(settings.STATIC_ROOT)
    folders = [str(collected)] if collected.is_dir() else _folders_of_apps()
    library = WhiteNoise(
        None, autorefresh=not collected.is_dir(), max_age=300, allow_all_origins=False
    )
    for folder in reversed(folders):
        library.add_files(folder, prefix=settings.STATIC_URL)
    return library


def _folders_of_apps() -> list[str]:
    return [
        storage.location
        for finder in get_finders()
        for storage in getattr(finder, "storages", {}).values()
        if Path(storage.location).is_dir()
    ]


class StaticFiles:
    """ASGI middleware; what is no static file goes on to `app`."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].startswith(settings.STATIC_URL):
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        response = await asyncio.to_thread(_open, scope)
        if response is None:
            await self.app(scope, receive, send)
            return
        headers = [
            (name.lower().encode(), str(value).encode("latin-1"))
            for name, value in response.headers
        ]
        headers += [(name.lower().encode(), value.encode()) for name, value in everywhere().items()]
        request_id = request_id_of(scope)
        headers.append((b"x-request-id", request_id.encode()))
        request_log.answered(
            scope["method"],
            scope["path"],
            int(response.status),
            began=began,
            address=client_address(scope),
            request_id=request_id,
        )
        start = {"type": "http.response.start", "status": int(response.status), "headers": headers}
        await send(start)
        await _send_file(response.file, send)


def _open(scope: Any) -> Any:
    library = _library()
    path = scope["path"]
    found = library.find_file(path) if library.autorefresh else library.files.get(path)
    if found is None:
        return None
    environ = {
        f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1")
        for name, value in scope["headers"]
    }
    return found.get_response(scope["method"], environ)


async def _send_file(file: Any, send: Any) -> None:
    if file is None:
        await send({"type": "http.response.body", "body": b""})
        return
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        file.close()
    await send({"type": "http.response.body", "body": b""})

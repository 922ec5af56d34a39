"""Files that are sent while they are made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import translation

from common.db import in_thread


def download(chunks: Iterator[bytes], *, name: str, content_type: str) -> StreamingHttpResponse:
    """`chunks`, a generator that may ask the database, sent as the file `name`.

    It is advanced in a thread, no faster than the reader takes what it gives, and holds neither
    thread nor connection between its steps. It may be dropped after any step, and is not closed
    then: a thread may be in it. `name` is ours: plain ASCII, never a person's words.
    """
    return StreamingHttpResponse(
        _sent(chunks, language=translation.get_language()),
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store, no-transform",
        },
    )


async def _sent(chunks: Iterator[bytes], *, language: str | None) -> AsyncGenerator[bytes, None]:
    step = in_thread(_some_of)
    while piece := await step(chunks, language):
        yield piece


def _some_of(chunks: Iterator[bytes], language: str | None) -> bytes:
    """As much as is worth a write; b"" at the end."""
    found: list[bytes] = []
    size = 0
    with translation.override(language):
        while size < settings.EXPORT_CHUNK_BYTES and (chunk := next(chunks, None)) is not None:
            found.append(chunk)
            size += len(chunk)
    return b"".join(found)

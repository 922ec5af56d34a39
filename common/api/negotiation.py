"""Which renderer answers: the one asked for, else the first. Nobody is refused for asking (E9).

What is sent must say exactly what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.http import Http404
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class Negotiation(DefaultContentNegotiation):
    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The one of this very type: DRF would take `*/*` for any (I9)."""
        kind = str(request.content_type).partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        choices: Sequence[BaseRenderer] = list(renderers)
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(
                request, choices, format_suffix
            )
        except (NotAcceptable, Http404):
            return choices[0], choices[0].media_type or ""
        return chosen

"""Jobs of chat."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from chat.services import search, summaries, titles
from chat.turns import unsettled


@shared_task
def settle_holds() -> None:
    """Settle what was left open by turns that have ended, or are gone."""
    unsettled.settle_holds()


@shared_task
def index_for_search() -> None:
    """Have search find what was written since the last look."""
    search.index_waiting(seconds=settings.SEARCH_INDEX_SECONDS)


@shared_task
def forget_deleted_words() -> None:
    """Leave nothing in the search index of what was deleted."""
    search.forget_deleted_words()


@shared_task
def write_titles() -> None:
    """Have models give titles to conversations that have none."""
    titles.write_titles()


@shared_task
def write_summaries() -> None:
    """Have models sum up what their windows have no room for any more."""
    summaries.write_summaries()

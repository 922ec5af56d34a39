"""T7: every job survives running twice, at once and late."""

from __future__ import annotations

import uuid

import pytest
from django.apps import apps
from django.core import mail

from config.celery import app
from tests.chat.threads import all_at_once
from tests.filling import fill

app.loader.import_default_modules()
JOBS = {name: job for name, job in app.tasks.items() if not name.startswith("celery.")}
# What it is given; the others take nothing. A letter that is no longer there is one sent before.
GIVEN = {"accounts.tasks.send_mail": (str(uuid.UUID(int=7)),)}


def everything():
    """How many rows of each kind there are, and how many letters went out."""
    rows = {model.__name__: model._default_manager.count() for model in apps.get_models()}  # noqa: SLF001
    return rows | {"letters": len(mail.outbox)}


def test_the_jobs_of_every_app_are_played():
    assert {name.split(".")[0] for name in JOBS} == {
        "accounts",
        "chat",
        "common",
        "models_registry",
        "quotas",
    }


@pytest.mark.row("T7")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_job_four_times_at_once_and_once_more_does_its_work_once(name, settings):
    # What asks models is played in tests/chat/test_titles.py and test_summaries.py.
    settings.AUTOMATIC_TITLES = settings.AUTOMATIC_SUMMARIES = False
    fill(people=4, conversations=6, messages=4)
    run = JOBS[name].run

    at_once = all_at_once([lambda: run(*GIVEN.get(name, ()))] * 4)
    after = everything()
    late = run(*GIVEN.get(name, ()))

    assert (at_once, late) == ([None] * 4, None)
    assert everything() == after

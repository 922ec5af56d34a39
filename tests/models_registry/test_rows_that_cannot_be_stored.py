"""A row that the database refuses: only a name that is taken is told as one."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from common.errors import Conflict, Invalid, NotFound
from models_registry.models import ChatModel
from models_registry.services import connections, models

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("built_in")]

PERSONAL = {"provider": "openai_compatible", "base_url": "https://8.8.8.8/v1"}


@pytest.fixture
def refused(monkeypatch):
    """The rows meet a constraint that has nothing to do with names."""

    def refuse(*_args, **_fields):
        raise IntegrityError("another constraint")

    monkeypatch.setattr("accounts.services.audit.record", refuse)


def connection_of(person):
    return connections.create_connection(person, scope="personal", name="Mine", **PERSONAL)


def model_at(connection, name):
    return models.create_model(
        connection.owner, scope=connection.scope, name=name, connection_id=connection.pk
    )


def test_a_model_that_meets_another_constraint_is_no_taken_name(system_connection, refused):
    """It is a bug, and stays one: told as itself, it can be found."""
    with pytest.raises(IntegrityError, match="another constraint"):
        models.create_model(None, scope="system", name="new", connection_id=system_connection.pk)


def test_nor_is_a_change_of_one(system_model, refused):
    with pytest.raises(IntegrityError, match="another constraint"):
        models.change_model(system_model, actor=None, changes={"display_name": "Shown"})


def test_nor_a_connection_that_takes_its_models_along(root, request):
    theirs = connection_of(root)
    model_at(theirs, "moved")
    request.getfixturevalue("refused")

    with pytest.raises(IntegrityError, match="another constraint"):
        connections.change_connection(
            theirs, actor=root, changes={"scope": "system"}, resolve=False
        )


def test_a_name_that_is_taken_is_told_as_such(root, system_model):
    mine = connection_of(root)
    other = model_at(mine, "mine")
    model_at(mine, system_model.name)

    with pytest.raises(Invalid) as refusal:
        model_at(mine, "mine")
    with pytest.raises(Invalid) as another:
        models.change_model(other, actor=root, changes={"name": system_model.name})
    with pytest.raises(Conflict):
        connections.change_connection(mine, actor=root, changes={"scope": "system"}, resolve=False)

    assert set(refusal.value.errors or ()) == set(another.value.errors or ()) == {"name"}
    assert ChatModel.objects.filter(owner=root).count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_model_whose_connection_is_deleted_meanwhile_finds_none(mina, monkeypatch):
    mine = connection_of(mina)
    real = models.fallback_ids

    def late(*args):
        connections.delete_connection(mine, actor=mina)
        return real(*args)

    monkeypatch.setattr(models, "fallback_ids", late)

    with pytest.raises(NotFound):
        models.create_model(mina, scope="personal", name="mine", connection_id=mine.pk)

    assert not ChatModel.objects.filter(owner=mina).exists()

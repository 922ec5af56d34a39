"""Who may use a model, changed by two at once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from models_registry.models import ChatModel
from models_registry.services import access as access_service

pytestmark = pytest.mark.usefixtures("built_in")


@pytest.mark.django_db
def test_a_change_by_somebody_else_meanwhile_is_kept(system_model, mina, boris):
    Group.objects.get_or_create(name="agent")
    loaded = ChatModel.objects.filter(pk=system_model.pk).prefetch_related("roles", "users")
    mine, theirs, last = loaded.get(), loaded.get(), loaded.get()

    access_service.grant(mine, actor=None, everyone=False, roles=["agent"], users=[mina.pk])
    access_service.grant(theirs, actor=None, roles=["member"], users=[boris.pk])

    access = access_service.access_of(loaded.get())
    assert (access.everyone, set(access.roles)) == (False, {"agent", "member"})
    assert set(access.users) == {mina.pk, boris.pk}

    access_service.revoke(last, actor=None, users=[mina.pk])
    assert access_service.access_of(loaded.get()) == access_service.Access(
        False, access.roles, (boris.pk,)
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [access_service.grant, access_service.revoke])
def test_access_is_read_under_the_lock_that_its_change_is_written_under(
    system_model, mina, change, monkeypatch
):
    access_service.grant(system_model, actor=None, everyone=False, roles=["member"])
    read, held = access_service.access_of, []

    def watch(model):
        held.append(connection.in_atomic_block)
        return read(model)

    monkeypatch.setattr(access_service, "access_of", watch)
    with CaptureQueriesContext(connection) as asked:
        change(system_model, actor=None, users=[mina.pk], roles=["member"])

    assert held
    assert all(held)
    if connection.features.has_select_for_update:
        about = [each["sql"] for each in asked if '"models_registry_chatmodel' in each["sql"]]
        assert "FOR UPDATE" in about[0]

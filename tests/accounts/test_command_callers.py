"""For whom a command acts: the person named, or the only active one."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from accounts.management.callers import caller_named
from accounts.models import User
from common.errors import NotFound, PermissionDenied

pytestmark = pytest.mark.django_db


def person(name, **fields):
    return User.objects.create_user(name, f"{name}@example.org", None, **fields)


def test_the_only_active_person_needs_no_name():
    ada = person("ada")
    person("gone", is_active=False)

    caller = caller_named(None)

    assert caller.user == ada
    assert caller.scopes is None


@pytest.mark.parametrize("name", ["grace", "GRACE", "grace@example.org"])
def test_a_person_is_named_by_user_name_or_e_mail(name):
    person("ada")
    grace = person("grace")

    assert caller_named(name).user == grace


def test_of_several_people_the_names_are_told():
    for name in ("grace", "ada"):
        person(name)

    with pytest.raises(CommandError, match="--user NAME: ada, grace") as refused:
        caller_named(None)

    assert refused.value.returncode == 2


def test_of_many_people_some_names_are_told():
    for number in range(12):
        person(f"person{number:02}")

    with pytest.raises(CommandError, match=r"person09, …$"):
        caller_named(None)


def test_without_anybody_it_is_told_how_to_make_one():
    with pytest.raises(NotFound, match="create_admin"):
        caller_named(None)


def test_a_suspended_person_may_not_ask():
    person("ada", is_active=False)

    with pytest.raises(PermissionDenied, match="user activate ada"):
        caller_named("ada")


def test_a_name_that_nobody_has_is_told():
    with pytest.raises(NotFound, match="nobody of that name"):
        caller_named("nobody")

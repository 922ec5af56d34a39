"""Tables to hold and settle in."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import ApiKey, Role
from accounts.services import api_keys, registration
from models_registry.services.models import ensure_offline_model


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Threads take part."""


@pytest.fixture
def person(db):
    def make(name, role=Role.MEMBER):
        return registration.create_person(
            username=name, email=f"{name}@x.example", password="long enough", roles=[role]
        )

    return make


@pytest.fixture
def mina(person):
    """Under a name that no page of the admin has by itself; "terminal" holds the usual one."""
    return person("solveig")


@pytest.fixture
def root(person):
    return person("root", Role.ADMIN)


@pytest.fixture
def admin(root):
    ensure_offline_model()
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def key(mina):
    api_keys.create(mina, name="Robot", actor=mina)
    return ApiKey.objects.get()

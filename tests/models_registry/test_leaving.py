"""G4, A8: with a person go their connections, keys, models and grants."""

import pytest

from accounts.services.people import erase
from models_registry.models import ChatModel, Connection
from models_registry.services.access import Access, access_of
from models_registry.services.connections import create_connection
from models_registry.services.models import change_model, create_model
from tests.models_registry.conftest import KEY

pytestmark = [pytest.mark.django_db, pytest.mark.row("G4")]


def test_nothing_of_a_person_stays(mina, boris, system_model):
    hers = create_connection(
        mina,
        scope="personal",
        provider="openai_compatible",
        name="Hers",
        base_url="https://8.8.8.8/v1",
        api_key=KEY,
    )
    create_model(mina, scope="personal", name="mine", connection_id=hers.pk)
    both = Access(users=(mina.pk, boris.pk))
    change_model(system_model, actor=None, changes={"access": both})

    erase(mina, actor=mina)

    assert not Connection.objects.filter(name="Hers").exists()
    assert not ChatModel.objects.filter(name="mine").exists()
    assert access_of(ChatModel.objects.get(pk=system_model.pk)).users == (boris.pk,)

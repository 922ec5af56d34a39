"""`POST connections/{id}/discover`: a model of everything that a server lists."""

import pytest
from django.contrib.auth.models import Permission

from models_registry.models import ChatModel
from models_registry.services.connections import create_connection
from tests.accounts.conftest import problem
from tests.models_registry.conftest import KEY
from tests.models_registry.upstream import refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def hers(mina, upstream, settings):
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    return create_connection(
        mina,
        scope="personal",
        provider="openai_compatible",
        name="Hers",
        base_url=upstream.url,
        api_key=KEY,
    )


@pytest.mark.row("A7")
def test_personal_ones_are_their_owners_alone(api, mina, hers):
    told = api(mina).post(f"connections/{hers.pk}/discover").json()

    made = ChatModel.objects.filter(connection=hers)
    assert (told["ok"], told["models"]) == (True, ["gpt-4o", "mock"])
    assert {each["id"] for each in told["added"]} == {str(model.pk) for model in made}
    assert {(model.owner_id, model.everyone) for model in made} == {(mina.pk, False)}


def test_those_of_the_deployment_are_open_to_everyone(api, root, mina, system_connection):
    api(root).post(f"connections/{system_connection.pk}/discover")

    listed = api(mina).get("models").json()["results"]
    assert {"gpt-4o", "mock"} <= {each["name"] for each in listed}


def test_a_refused_key_adds_nothing_and_says_so(api, mina, hers, upstream):
    upstream.list_reply = refusal(401)

    told = api(mina).post(f"connections/{hers.pk}/discover").json()

    assert (told["ok"], told["code"], told["added"]) == (False, "upstream_error", [])
    assert not ChatModel.objects.filter(connection=hers).exists()


def test_it_counts_as_a_test(api, mina, hers, settings):
    """O8: ten a minute, however they are asked for."""
    settings.RATES = settings.RATES | {"connection_test": [(2, 60)]}
    caller = api(mina)

    answers = [
        caller.post(f"connections/{hers.pk}/{what}") for what in ("test", "discover", "discover")
    ]

    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert problem(answers[2]) == (429, "rate_limited")


@pytest.mark.row("M5")
def test_whoever_may_make_no_models_of_the_deployment_asks_nobody(
    api, boris, system_connection, upstream
):
    rights = ("view_connection", "change_connection")
    boris.user_permissions.set(Permission.objects.filter(codename__in=rights))

    refused = api(boris).post(f"connections/{system_connection.pk}/discover")

    assert problem(refused) == (403, "permission_denied")
    assert upstream.requests == []

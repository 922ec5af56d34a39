"""What a model costs, now and from a date on."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.core.management import CommandError
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, User
from common.errors import Invalid, PermissionDenied
from models_registry.models import ChatModel, ModelPrice, Price
from models_registry.providers.base import Prices
from models_registry.services import prices
from models_registry.services.models import change_model, create_model
from models_registry.services.routing import resolve_model, routes_for
from tests.models_registry.conftest import wrong_fields
from tests.models_registry.test_admin import MODELS, model_form

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("built_in")]

BEFORE = datetime(2030, 1, 30, 12, tzinfo=UTC)
DATE = datetime(2030, 1, 31, tzinfo=UTC)
AFTER = datetime(2030, 1, 31, 0, 0, 1, tzinfo=UTC)
DEARER = Price(5 * 10**9, 20 * 10**9, 10**9)


@pytest.fixture
def dated(system_model):
    """gpt-4o, dearer from the end of January on."""
    prices.set_price(system_model, DEARER, starts_at=DATE, actor=None)
    return system_model


def stored(model) -> ChatModel:
    return ChatModel.objects.get(pk=model.pk)


class TestTheDate:
    def test_until_then_the_model_costs_what_it_did(self, mina, dated):
        was = Prices(2_500_000_000, 10_000_000_000, 1_250_000_000)
        for at, expected in ((BEFORE, was), (DATE, Prices(*DEARER)), (AFTER, Prices(*DEARER))):
            with time_machine.travel(at, tick=False):
                [route] = routes_for(resolve_model(mina, "gpt-4o"), mina)
                assert route.prices == expected

    def test_of_several_the_newest_that_has_begun_holds(self, dated):
        later = Price(7, 8, None)
        prices.set_price(dated, later, starts_at=DATE + timedelta(days=1), actor=None)
        prices.set_price(dated, Price(1, 1, 1), starts_at=DATE - timedelta(days=1), actor=None)

        found = stored(dated)

        assert [
            found.price_at(DATE + timedelta(days=days)).input_price for days in range(-2, 3)
        ] == [
            2_500_000_000,
            1,
            DEARER.input_price,
            7,
            7,
        ]
        assert found.price_at(DATE + timedelta(days=1)).cached_input == 7

    def test_it_costs_a_turn_no_statement(self, mina, dated):
        with CaptureQueriesContext(database) as queries:
            routes_for(resolve_model(mina, "gpt-4o"), mina)

        assert len(queries) == 1

    def test_a_price_of_the_same_moment_takes_its_place(self, dated):
        prices.set_price(dated, Price(1, 2, 1), starts_at=DATE, actor=None)

        assert [row.price for row in dated.prices.all()] == [Price(1, 2, 1)]
        assert stored(dated).price_at(DATE) == Price(1, 2, 1)

    def test_what_is_moved_holds_from_its_new_date(self, dated):
        row = dated.prices.get()

        prices.change_price(row, DEARER, starts_at=BEFORE, actor=None)

        assert stored(dated).price_at(BEFORE) == DEARER

    def test_two_do_not_begin_at_once(self, dated):
        other = prices.set_price(dated, DEARER, starts_at=BEFORE, actor=None)

        with pytest.raises(Invalid):
            prices.change_price(other, DEARER, starts_at=DATE, actor=None)

    def test_without_it_the_one_before_holds_on(self, dated):
        was = dated.price

        prices.delete_price(dated.prices.get(), actor=None)

        assert stored(dated).price_at(AFTER) == was
        assert stored(dated).dated_prices == []

    def test_what_is_long_gone_is_not_copied_to_the_model(self, dated):
        with time_machine.travel(AFTER, tick=False):
            for day in range(5):
                at = DATE - timedelta(days=day + 1)
                prices.set_price(dated, Price(day, 0, None), starts_at=at, actor=None)

            assert len(stored(dated).dated_prices) == 1
            assert stored(dated).price == DEARER

    @pytest.mark.parametrize(
        ("price", "at"),
        [
            (Price(-1, 0, None), DATE),
            (Price(0, prices.PRICE_AT_MOST + 1, None), DATE),
            (Price(5, 0, 6), DATE),
            (Price(5, 5, 5), datetime(1999, 1, 1, tzinfo=UTC)),
            (Price(5, 5, 5), datetime(2200, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_what_nobody_means_is_refused(self, system_model, price, at):
        with pytest.raises(Invalid):
            prices.set_price(system_model, price, starts_at=at, actor=None)

    def test_there_are_not_too_many(self, system_model, monkeypatch):
        monkeypatch.setattr(prices, "PRICES_AT_MOST", 1)
        prices.set_price(system_model, DEARER, starts_at=DATE, actor=None)

        with pytest.raises(Invalid):
            prices.set_price(system_model, DEARER, starts_at=BEFORE, actor=None)

    def test_whoever_may_not_change_the_model_sets_no_price(self, mina, dated):
        row = dated.prices.get()
        for act in (
            lambda: prices.set_price(dated, DEARER, starts_at=DATE, actor=mina),
            lambda: prices.change_price(row, DEARER, starts_at=DATE, actor=mina),
            lambda: prices.delete_price(row, actor=mina),
        ):
            with pytest.raises(PermissionDenied):
                act()

    @pytest.mark.row("M7")
    def test_each_change_is_on_record(self, root, system_model):
        row = prices.set_price(system_model, DEARER, starts_at=DATE, actor=root)
        prices.change_price(row, Price(1, 1, None), starts_at=DATE, actor=root)
        prices.delete_price(row, actor=root)

        entries = AuditEntry.objects.filter(actor_id=root.pk).order_by("id")

        assert [entry.action for entry in entries] == ["model.changed"] * 3
        assert entries[0].after["prices_from"] == DATE.isoformat()
        assert (entries[1].before["input_price"], entries[1].after["input_price"]) == (
            DEARER.input_price,
            1,
        )
        assert entries[2].before["prices_from"] == DATE.isoformat()


class TestFromNowOn:
    def test_another_price_holds_at_once_though_a_dated_one_does(self, dated):
        with time_machine.travel(AFTER, tick=False):
            change_model(stored(dated), actor=None, changes={"output_price": 3})

            assert stored(dated).price == DEARER._replace(output_price=3)
        assert stored(dated).price_at(BEFORE).output_price == 10_000_000_000
        assert ModelPrice.objects.count() == 2

    def test_before_the_date_the_columns_change(self, dated):
        change_model(dated, actor=None, changes={"output_price": 3})

        assert stored(dated).output_price == 3
        assert ModelPrice.objects.count() == 1

    def test_the_same_price_again_changes_nothing(self, dated):
        was = dated.price

        change_model(dated, actor=None, changes={"input_price": was.input_price})

        assert stored(dated).price == was

    def test_another_input_price_leaves_cached_input_without_its_own(self, system_model):
        change_model(system_model, actor=None, changes={"input_price": 7})

        assert stored(system_model).price == Price(7, 10_000_000_000, None)


class TestApi:
    def test_the_cached_price_is_set_and_seen_by_who_manages(self, api, root, system_model):
        there = f"models/{system_model.pk}"

        told = api(root).patch(there, {"cached_input_price": "0.5"}).json()

        assert (told["cached_input_price"], told["input_price"]) == ("0.500000", "2.500000")
        assert stored(system_model).cached_price == 500_000_000
        assert (
            api(root).patch(there, {"cached_input_price": None}).json()["cached_input_price"]
            is None
        )

    def test_it_is_no_dearer_than_other_input(self, api, root, system_model):
        answer = api(root).patch(f"models/{system_model.pk}", {"cached_input_price": 3})

        assert wrong_fields(answer) == {"cached_input_price"}

    def test_models_are_listed_with_what_they_cost_now(self, api, mina, dated):
        yesterday = timezone.now() - timedelta(days=1)
        prices.set_price(dated, Price(1_500_000_000, 0, None), starts_at=yesterday, actor=None)

        found = api(mina).get("models").json()["results"]

        [four] = [each for each in found if each["name"] == "gpt-4o"]
        assert (four["input_price"], four["output_price"]) == ("1.500000", "0.000000")


class TestCommand:
    def test_from_a_date(self, run, system_model):
        told = run(
            "model", "price", "gpt-4o", "--input", "5", "--cached", "1", "--from", "2030-01-31"
        )

        assert [row["input_price"] for row in told] == ["2.500000", "5.000000"]
        assert [row["holds"] for row in told] == [True, False]
        assert told[1]["output_price"] == "10.000000"
        assert stored(system_model).price_at(AFTER) == Price(5 * 10**9, 10 * 10**9, 10**9)

    def test_from_now(self, run, system_model):
        [told] = run("model", "price", "gpt-4o", "--input", "5")

        assert (told["input_price"], told["cached_input_price"]) == ("5.000000", "5.000000")
        assert stored(system_model).input_price == 5 * 10**9

    def test_cached_input_as_any_other(self, run, system_model):
        run("model", "price", "gpt-4o", "--cached", "none")

        assert stored(system_model).cached_price is None

    def test_taken_back(self, run, dated):
        assert len(run("model", "price", "gpt-4o", "--remove", "--from", "2030-01-31")) == 1
        assert not ModelPrice.objects.exists()
        with pytest.raises(CommandError):
            run("model", "price", "gpt-4o", "--remove", "--from", "2030-01-31", as_json=False)

    @pytest.mark.parametrize(
        "options",
        [
            ("--from", "2030-01-31"),
            ("--remove",),
            ("--input", "cheap"),
            ("--input", "none"),
            ("--input", "nan"),
            ("--input", "1", "--from", "soon"),
            ("--input", "1", "--remove", "--from", "2030-01-31"),
        ],
    )
    def test_what_does_not_go_together_is_a_usage_error(self, run, system_model, options):
        with pytest.raises(CommandError) as refused:
            run("model", "price", "gpt-4o", *options)

        assert refused.value.returncode in {1, 2}
        assert stored(system_model).input_price == 2_500_000_000

    @pytest.mark.parametrize(
        "options",
        [
            ("--input", "-1"),
            ("--cached", "9"),
            ("--input", "1e9"),
            ("--input", "1e999999"),
            ("--input", "sNaN"),
        ],
    )
    def test_a_price_that_nobody_means_is_refused(self, run, system_model, options):
        with pytest.raises(CommandError):
            run("model", "price", "gpt-4o", *options, as_json=False)


class TestAdmin:
    @pytest.fixture
    def admin(self, root):
        client = Client()
        client.force_login(root)
        return client

    def form(self, model, *rows, initial=0, **fields):
        shown = model_form(
            model.connection,
            name=model.name,
            input_price="2.500000",
            output_price="10.000000",
            cached_price="1.250000",
            **{"prices-TOTAL_FORMS": len(rows), "prices-INITIAL_FORMS": initial},
        )
        for number, row in enumerate(rows):
            shown |= {f"prices-{number}-{name}": value for name, value in row.items()}
        return shown | fields

    def row(self, **fields):
        return {
            "starts_at_0": "2030-01-31",
            "starts_at_1": "00:00:00",
            "input_price": "5",
            "output_price": "20",
            "cached_price": "1",
        } | fields

    def test_a_price_from_a_date_is_added_changed_and_deleted(self, admin, system_model):
        there = f"{MODELS}{system_model.pk}/change/"

        answer = admin.post(there, self.form(system_model, self.row()))
        assert answer.status_code == 302, answer.content.decode()
        assert stored(system_model).price_at(AFTER) == DEARER

        known = {"id": str(system_model.prices.get().pk), "model": str(system_model.pk)}
        assert "5.000000" in admin.get(there).content.decode()
        admin.post(there, self.form(system_model, self.row(**known, cached_price=""), initial=1))
        assert stored(system_model).price_at(AFTER) == DEARER._replace(cached_price=None)

        admin.post(there, self.form(system_model, self.row(**known, DELETE="on"), initial=1))
        assert stored(system_model).price_at(AFTER) == stored(system_model).price
        told = AuditEntry.objects.filter(action="model.changed", actor_name="root")
        assert len([entry for entry in told if "output_price" in entry.after]) == 2

    def test_a_new_model_has_prices_from_a_date_at_once(self, admin, system_connection):
        form = model_form(system_connection, name="new", **{"prices-TOTAL_FORMS": 1})
        form |= {f"prices-0-{name}": value for name, value in self.row().items()}

        assert admin.post(MODELS + "add/", form).status_code == 302

        assert ChatModel.objects.get(name="new").price_at(AFTER) == DEARER

    def test_a_cached_price_that_is_too_high_is_told_beside_it(self, admin, system_model):
        there = f"{MODELS}{system_model.pk}/change/"

        of_row = admin.post(there, self.form(system_model, self.row(cached_price="6")))
        of_model = admin.post(there, self.form(system_model, cached_price="6"))

        for answer in (of_row, of_model):
            assert answer.content.decode().count("Cached input costs no more") == 1
        assert not ModelPrice.objects.exists()

    def test_where_a_price_is_refused_nothing_of_the_form_is_stored(self, admin, dated):
        later = DATE + timedelta(days=365)
        prices.set_price(dated, DEARER, starts_at=later, actor=None)
        rows = [
            self.row(id=str(each.pk), model=str(dated.pk), starts_at_0=f"{day:%Y-%m-%d}")
            for each, day in zip(dated.prices.order_by("starts_at"), (later, DATE), strict=True)
        ]

        form = self.form(dated, *rows, initial=2, display_name="Another")
        answer = admin.post(f"{MODELS}{dated.pk}/change/", form, follow=True)

        assert "There is another price from that time on." in answer.content.decode()
        assert stored(dated).display_name == ""
        assert not AuditEntry.objects.filter(action="model.changed", actor_name="root").exists()

    def test_its_page_shows_what_it_costs_now(self, admin, dated):
        yesterday = timezone.now() - timedelta(days=1)
        prices.set_price(dated, Price(1_500_000_000, 0, None), starts_at=yesterday, actor=None)

        assert 'value="1.500000"' in admin.get(f"{MODELS}{dated.pk}/change/").content.decode()
        assert "1.500000" in admin.get(MODELS).content.decode()

    def test_whoever_only_looks_sees_them_and_sets_none(self, dated, person):
        looker = person("looker")
        looker.user_permissions.add(Permission.objects.get(codename="view_chatmodel"))
        User.objects.filter(pk=looker.pk).update(is_staff=True)
        client = Client()
        client.force_login(looker)
        there = f"{MODELS}{dated.pk}/change/"

        shown = client.get(there).content.decode()
        assert "5.000000" in shown
        assert "2.500000" in shown
        assert str(DEARER.input_price) not in shown
        assert client.post(there, self.form(dated, self.row())).status_code == 403


def test_a_personal_model_has_prices_of_its_own(mina, boris, dated, system_connection):
    own = create_model(None, scope="system", name="own", connection_id=system_connection.pk)
    ChatModel.objects.filter(pk=own.pk).update(owner=mina)
    own.refresh_from_db()

    prices.set_price(own, Price(1, 1, None), starts_at=BEFORE, actor=mina)

    assert stored(own).price_at(AFTER) == Price(1, 1, None)
    with pytest.raises(PermissionDenied):
        prices.set_price(own, DEARER, starts_at=BEFORE, actor=boris)

"""Argon2, bounded (S10)."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    check_password,
    make_password,
    verify_password,
)
from django.db import connection
from django.test import override_settings

from accounts import hashers
from accounts.models import SignInFailures
from common.errors import RateLimited
from tests.accounts.conftest import PASSWORD, Api, at_once, problem

ARGON2 = "accounts.hashers.BoundedArgon2Hasher"


def test_the_product_hashes_with_argon2():
    from config import settings  # noqa: PLC0415

    assert settings.PASSWORD_HASHERS[0] == ARGON2


@override_settings(PASSWORD_HASHERS=[ARGON2])
def test_a_hash_opens_for_its_password_alone():
    encoded = make_password(PASSWORD)

    assert encoded.startswith("argon2$argon2id$v=19$m=65536,t=3,p=1$")
    assert check_password(PASSWORD, encoded)
    assert not check_password(PASSWORD + "x", encoded)


@pytest.mark.row("S10")
@override_settings(PASSWORD_HASHERS=[ARGON2])
def test_at_most_four_hash_at_once(monkeypatch):
    """None of the twelve ends before four are at it."""
    running, most, lock, four = [0], [0], threading.Lock(), threading.Barrier(4, timeout=20)

    def slow(self, password, salt):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        four.wait()
        with lock:
            running[0] -= 1
        return "argon2$x"

    monkeypatch.setattr(Argon2PasswordHasher, "encode", slow)

    results = at_once(12, lambda _: make_password(PASSWORD, hasher="argon2"))

    assert results == ["argon2$x"] * 12
    assert most[0] == 4


@pytest.fixture
def full(settings):
    """Every place at the hasher is taken."""
    settings.PASSWORD_HASHERS = [ARGON2]
    settings.PASSWORD_HASH_WAIT_SECONDS = 0.05
    slots = hashers._slots(settings.PASSWORD_HASHES_AT_ONCE)  # noqa: SLF001
    for _ in range(settings.PASSWORD_HASHES_AT_ONCE):
        slots.acquire()
    yield
    for _ in range(settings.PASSWORD_HASHES_AT_ONCE):
        slots.release()


@pytest.mark.row("S10")
@pytest.mark.django_db
def test_who_waits_too_long_is_told_to_come_back(mina, full):
    """And what was not checked is no failure (S8)."""
    for _ in range(7):
        answer = Api().login("mina")
        assert problem(answer) == (429, "rate_limited")
        assert int(answer["Retry-After"]) >= 1

    assert set(SignInFailures.objects.values_list("count", flat=True)) == {0}


@pytest.mark.row("S10")
@pytest.mark.usefixtures("full")
def test_checking_waits_in_the_same_queue():
    with pytest.raises(RateLimited):
        check_password(PASSWORD, "argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g")


def test_a_place_is_given_back_after_an_error(settings, monkeypatch):
    settings.PASSWORD_HASHERS = [ARGON2]

    def fail(self, password, salt):
        raise MemoryError

    monkeypatch.setattr(Argon2PasswordHasher, "encode", fail)
    for _ in range(6):
        with pytest.raises(MemoryError):
            make_password(PASSWORD)


@pytest.mark.row("S10", "F6")
@pytest.mark.django_db(transaction=True)
def test_nobody_holds_a_connection_at_the_hasher(person, monkeypatch):
    """F6: else a burst of sign-ins would keep the pool from everybody else."""
    person("mina")
    open_ = []
    real = verify_password

    def verify(password, encoded):
        open_.append(connection.connection is not None)
        return real(password, encoded)

    monkeypatch.setattr("accounts.services.passwords.verify_password", verify)

    assert Api().login("mina").status_code == 200
    assert open_ == [False]

"""What a token must be to be believed (S3, S6)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from django.conf import settings as django_settings

from accounts.models import Role
from accounts.services import people
from tests.accounts.conftest import Api, problem

pytestmark = pytest.mark.django_db


def claims(mina, sign_in_id, **changes):
    now = int(time.time())
    whole = {
        "sub": str(mina.pk),
        "sid": sign_in_id,
        "jti": str(uuid4()),
        "iat": now,
        "exp": now + 600,
        "iss": "parley",
        "aud": "parley",
        "token_type": "access",
    } | changes
    return {name: value for name, value in whole.items() if value is not ...}


NO_ALGORITHM_OF_OURS: tuple[Any, ...] = ("None", "nOnE", "hs256", "RS256", "", 7, None, [])


def signed(payload, *, key=None, alg="HS256", headers=None):
    return jwt.encode(
        payload, key or django_settings.SIGNING_KEYS[0], algorithm=alg, headers=headers
    )


def by_hand(header, payload_text, key=None):
    """A token around any header and payload text, properly signed."""
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    def part(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    body = part(json.dumps(header).encode()) + b"." + part(payload_text.encode())
    mac = hmac.new((key or django_settings.SIGNING_KEYS[0]).encode(), body, hashlib.sha256).digest()
    return (body + b"." + part(mac)).decode()


def me(token):
    return Api().get("users/me", HTTP_AUTHORIZATION=f"Bearer {token}")


def test_a_token_made_by_these_rules_is_believed(mina, device):
    """Else none of the refusals below would mean anything."""
    phone = device(mina)
    payload = claims(mina, phone.sign_in_id)

    assert me(signed(payload)).status_code == 200
    assert me(by_hand({"alg": "HS256", "typ": "JWT"}, json.dumps(payload))).status_code == 200


@pytest.mark.row("S6")
@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"iss": ...},
        {"aud": "other"},
        {"aud": ...},
        {"aud": ["parley", 7]},
        {"token_type": "refresh"},
        {"token_type": ...},
        {"exp": 1},
        {"exp": ...},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": None},
        {"exp": 10**30},
        {"iat": ...},
        {"iat": "x"},
        {"iat": 10**30},
        {"nbf": 10**11},
        {"jti": ...},
        {"jti": 7},
        {"jti": "x"},
        {"sid": ...},
        {"sid": "x"},
        {"sid": None},
        {"sid": "01890a5d-ac96-774b-bcce-b302099a8057"},
        {"sub": ...},
        {"sub": "text"},
        {"sub": {"a": 1}},
        {"sub": "\x00"},
        {"sub": None},
        {"sub": 10**30},
        {"sub": "1e999"},
        {"sub": "01890a5d-ac96-774b-bcce-b302099a8057"},
        {"sub": "' OR 1=1 --"},
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused_though_signed(mina, device, changes):
    phone = device(mina)

    answer = me(signed_loosely(claims(mina, phone.sign_in_id, **changes)))

    assert problem(answer) == (401, "token_invalid")


def signed_loosely(payload):
    """PyJWT refuses to sign some of these."""
    return by_hand({"alg": "HS256", "typ": "JWT"}, json.dumps(payload))


@pytest.mark.row("S6")
@pytest.mark.parametrize("spelling", ["{%s}", "urn:uuid:%s", "upper"])
def test_an_id_counts_in_its_one_spelling(mina, device, spelling):
    phone = device(mina)
    subject = str(mina.pk).upper() if spelling == "upper" else spelling % mina.pk

    assert problem(me(signed(claims(mina, phone.sign_in_id, sub=subject)))) == (
        401,
        "token_invalid",
    )


@pytest.mark.row("S6")
@pytest.mark.parametrize(
    "text",
    [
        '{"exp": 1e999}',
        '{"exp": NaN}',
        '{"exp": -1e999}',
        "[]",
        "7",
        "null",
        '"x"',
        "[" * 1_400,
        "",
    ],
)
def test_a_payload_that_is_no_set_of_claims_is_refused(text):
    """And never a 500."""
    assert problem(me(by_hand({"alg": "HS256", "typ": "JWT"}, text))) == (401, "token_invalid")


@pytest.mark.row("S6")
def test_an_endless_exp_among_good_claims_is_refused(mina, device):
    """The library raises OverflowError here."""
    phone = device(mina)
    text = json.dumps(claims(mina, phone.sign_in_id, exp=7)).replace('"exp": 7', '"exp": 1e999')

    assert problem(me(by_hand({"alg": "HS256", "typ": "JWT"}, text))) == (401, "token_invalid")


@pytest.mark.row("S6")
@pytest.mark.parametrize(
    "extra", [{"kid": "1"}, {"jku": "https://evil"}, {"crit": ["exp"]}, {"x": 1}]
)
def test_a_header_that_says_more_is_refused(mina, device, extra):
    phone = device(mina)
    payload = json.dumps(claims(mina, phone.sign_in_id))

    answer = me(by_hand({"alg": "HS256", "typ": "JWT"} | extra, payload))

    assert problem(answer) == (401, "token_invalid")


@pytest.mark.row("S6")
@pytest.mark.parametrize("raw", [b"[" * 1_400, b"{}", b"7", b"null", b"\xff", b'{"alg": 1e999}'])
def test_a_header_that_is_none_is_refused(raw):
    """And never a 500."""
    header = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    assert problem(me(f"{header}.e30.e30")) == (401, "token_invalid")


@pytest.mark.row("S6")
@pytest.mark.parametrize("alg", ["HS384", "HS512", "none"])
def test_another_algorithm_is_refused(mina, device, alg):
    phone = device(mina)
    payload = claims(mina, phone.sign_in_id)
    key: Any = None if alg == "none" else django_settings.SIGNING_KEYS[0]
    token = jwt.encode(payload, key, algorithm=alg)

    assert problem(me(token)) == (401, "token_invalid")


@pytest.mark.row("S6")
@pytest.mark.parametrize("header", [{}, *({"alg": each} for each in NO_ALGORITHM_OF_OURS)])
def test_what_names_no_algorithm_of_ours_is_refused_though_signed(mina, device, header):
    token = by_hand(header, json.dumps(claims(mina, device(mina).sign_in_id)))

    assert problem(me(token)) == (401, "token_invalid")


@pytest.mark.row("S6")
def test_an_unsigned_token_is_refused(mina, device):
    phone = device(mina)
    head, body, _mac = signed(claims(mina, phone.sign_in_id)).split(".")

    assert problem(me(f"{head}.{body}.")) == (401, "token_invalid")


@pytest.mark.row("S6")
def test_the_secret_key_signs_no_tokens(mina, device, settings):
    phone = device(mina)

    answer = me(signed(claims(mina, phone.sign_in_id), key=settings.SECRET_KEY))

    assert problem(answer) == (401, "token_invalid")


@pytest.mark.row("S6")
def test_a_refresh_token_is_no_access_token(mina, device):
    assert problem(me(device(mina).refresh)) == (401, "token_invalid")


@pytest.mark.row("S3")
def test_a_token_names_its_own_sign_in(mina, person, device):
    """Another person's device does not do."""
    phone = device(person("olga"))

    answer = me(signed(claims(mina, phone.sign_in_id)))

    assert problem(answer) == (401, "token_invalid")


@pytest.mark.row("K12")
def test_keys_rotate_and_old_tokens_stay_good_while_their_key_is_listed(mina, device, settings):
    phone = device(mina)
    old, new = settings.SIGNING_KEYS[0], "n" * 40

    settings.SIGNING_KEYS = [new, old]
    assert phone.works()
    answer = Api().post("auth/refresh", {"refresh_token": phone.refresh})
    assert answer.status_code == 200
    settings.SIGNING_KEYS = [new]

    assert not phone.works()
    phone.take(answer)
    assert phone.works()


@pytest.mark.row("S6", "A5")
@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "bearer x y",
        "Bearer x\ty",
        "Bearer " + "x" * 9_000,
        "Bearer é",
        "BEARER ' OR 1=1 --",
        "Bearer parley-" + "A" * 43,
    ],
)
def test_a_bad_bearer_is_refused(header):
    assert problem(Api().get("users/me", HTTP_AUTHORIZATION=header)) == (401, "token_invalid")


def test_without_a_credential_one_is_asked_for():
    answer = Api().get("users/me")

    assert problem(answer) == (401, "unauthenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.row("S3")
def test_rights_are_read_from_the_database_not_from_the_token(person, device):
    """A demoted administrator's token shrinks with its next use."""
    person("root", roles=[Role.ADMIN])
    boss = person("boss", roles=[Role.ADMIN])
    phone = device(boss)
    assert phone.call("GET", "users/me").json()["roles"] == ["admin"]

    people.set_roles(boss, ["member"], actor=None)

    assert phone.call("GET", "users/me").json()["roles"] == ["member"]


def test_a_request_asks_once_who_is_calling(mina, device, django_assert_num_queries):
    """ARCHITECTURE 6: user and sign-in in one query."""
    from accounts.services.callers import caller_from_token  # noqa: PLC0415

    phone = device(mina)

    with django_assert_num_queries(1):
        caller = caller_from_token(phone.access)

    assert caller.sign_in
    assert (caller.user, str(caller.sign_in.pk)) == (mina, phone.sign_in_id)
    assert caller.sender == f"user:{mina.pk}"
    assert caller.scopes is None

"""K5, K12: secrets at rest."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from common.crypto import Undecryptable, decrypt, encrypt

OLD = "the old secret, of thirty-two characters"
NEW = "the new secret, of thirty-two characters"
ROW = "connection:1:api_key"


@pytest.fixture(autouse=True)
def keyring(settings):
    settings.ENCRYPTION_KEYS = [OLD]


def test_what_goes_in_comes_out():
    token = encrypt("sk-geheim-钥匙", context=ROW)

    assert "geheim" not in token
    assert decrypt(token, context=ROW) == "sk-geheim-钥匙"


def test_the_same_text_is_never_the_same_twice():
    assert encrypt("x", context=ROW) != encrypt("x", context=ROW)


@pytest.mark.row("K5")
def test_a_copy_in_another_row_does_not_open():
    token = encrypt("sk", context=ROW)

    with pytest.raises(Undecryptable):
        decrypt(token, context="connection:2:api_key")


def test_the_first_key_encrypts_and_all_decrypt(settings):
    old = encrypt("sk", context=ROW)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    new = encrypt("sk", context=ROW)

    assert decrypt(old, context=ROW) == "sk"
    assert old.split(".")[1] != new.split(".")[1]  # the id of the key
    settings.ENCRYPTION_KEYS = [NEW]
    assert decrypt(new, context=ROW) == "sk"
    with pytest.raises(Undecryptable):
        decrypt(old, context=ROW)


@pytest.mark.parametrize("damage", ["", "v1", "v2", "v1..", "v1.abc.def", "\x00", "v1.é.é"])
def test_what_is_no_token_does_not_open(damage):
    with pytest.raises(Undecryptable):
        decrypt(damage, context=ROW)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-4], lambda t: t[:-2] + "!!", lambda t: t + "AAAA"]
)
def test_a_damaged_token_does_not_open(change):
    with pytest.raises(Undecryptable):
        decrypt(change(encrypt("sk", context=ROW)), context=ROW)


def test_the_refusal_says_nothing_secret():
    token = encrypt("sk-geheim", context=ROW)

    with pytest.raises(Undecryptable) as refusal:
        decrypt(token, context="other")

    assert OLD not in str(refusal.value)
    assert token not in str(refusal.value)


@pytest.mark.row("K12")
@pytest.mark.parametrize("keys", [[], [""], ["short"], [OLD, "short"]])
def test_short_and_missing_secrets_are_refused(settings, keys):
    settings.ENCRYPTION_KEYS = keys

    with pytest.raises(ImproperlyConfigured):
        encrypt("sk", context=ROW)

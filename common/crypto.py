"""Secrets at rest: AES-256-GCM under a keyring of ENCRYPTION_KEYS.

A token is `v1.<key id>.<nonce and ciphertext>`. The first key encrypts, all of them decrypt. The
context (row and field) is authenticated with it, so a ciphertext copied elsewhere does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_VERSION = "v1"
_NONCE_BYTES = 12


class Undecryptable(Exception):
    """No key of ours opens this, or it was made for another row or field."""


class _Key:
    def __init__(self, secret: str) -> None:
        material = secret.encode()
        self.id = _derive(material, "key id", 6).hex()
        self.cipher = AESGCM(_derive(material, "aes-256-gcm", 32))


def _derive(material: bytes, purpose: str, length: int) -> bytes:
    info = f"parley {_VERSION} {purpose}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(material)


@lru_cache(maxsize=8)
def _keyring(secrets: tuple[str, ...]) -> dict[str, _Key]:
    if not secrets or any(len(secret) < settings.SECRET_CHARACTERS for secret in secrets):
        raise ImproperlyConfigured(
            f"ENCRYPTION_KEYS: give secrets of at least {settings.SECRET_CHARACTERS} characters, "
            "separated by commas."
        )
    keys = [_Key(secret) for secret in secrets]
    return {key.id: key for key in keys}


def _keys() -> dict[str, _Key]:
    return _keyring(tuple(settings.ENCRYPTION_KEYS))


def _first_key() -> _Key:
    return next(iter(_keys().values()))


def first_key_prefix() -> str:
    """What every token begins with that the first key made."""
    return f"{_VERSION}.{_first_key().id}."


def encrypt(text: str, *, context: str) -> str:
    """`text` under the first key, bound to `context`."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + _first_key().cipher.encrypt(nonce, text.encode(), context.encode())
    return f"{first_key_prefix()}{base64.urlsafe_b64encode(sealed).decode()}"


def decrypt(token: str, *, context: str) -> str:
    """The text of `token`. Raises Undecryptable, whose message says nothing secret."""
    version, _, rest = token.partition(".")
    key_id, _, body = rest.partition(".")
    key = _keys().get(key_id)
    if version != _VERSION or key is None:
        raise Undecryptable("no key of ENCRYPTION_KEYS fits")
    try:
        sealed = base64.b64decode(body.encode(), altchars=b"-_", validate=True)
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return key.cipher.decrypt(nonce, ciphertext, context.encode()).decode()
    except (InvalidTag, binascii.Error, ValueError) as exc:
        raise Undecryptable("made for another row, or damaged") from exc

"""Cookie sessions read and written by async code (S3)."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.test import Client

from accounts.models import Role, Session, SignIn
from accounts.services import sign_ins
from accounts.sessions import SIGN_IN_KEY, SessionStore

pytestmark = pytest.mark.django_db(transaction=True)


async def sessions_of(key):
    store = SessionStore(session_key=key)
    return await store.aget("sign_in")


async def test_sessions_read_on_the_loop_are_bound_too(person):
    root = await sync_to_async(person)("root", roles=[Role.ADMIN])
    client = Client()
    await sync_to_async(client.force_login)(root)
    key = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    assert await sessions_of(key) == str((await SignIn.objects.aget()).pk)

    await sync_to_async(sign_ins.revoke)(root.pk)

    assert await sessions_of(key) is None


async def test_sessions_written_on_the_loop_are_bound_too(person):
    root = await sync_to_async(person)("root")
    sign_in = await sync_to_async(sign_ins.open_for)(root)
    store = SessionStore()
    await store.aset(SIGN_IN_KEY, str(sign_in.pk))

    await store.acreate()
    await store.asave()

    assert (await Session.objects.aget(session_key=store.session_key)).sign_in_id == sign_in.pk

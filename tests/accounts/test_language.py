"""The admin and the mails in the person's language."""

from __future__ import annotations

import pytest
from django.core import mail
from django.test import Client
from django.utils import translation

from accounts.models import Letter
from accounts.services import mails
from tests.accounts.conftest import page

pytestmark = pytest.mark.django_db

CHINESE = {"HTTP_ACCEPT_LANGUAGE": "zh-CN,zh;q=0.9"}
ENGLISH = {"HTTP_ACCEPT_LANGUAGE": "en"}


@pytest.fixture
def zhang(person):
    return person("zhang", display_name="张敏", language="zh-hans")


def test_the_admin_speaks_the_language_that_its_user_chose(desk, root):
    root.language = "zh-hans"
    root.save()

    index = desk.get("/admin/", **ENGLISH).content.decode()
    people = desk.get(page("accounts_user_changelist"), **ENGLISH).content.decode()

    assert '<html lang="zh-hans"' in index
    assert "审计记录" in index
    assert "Audit trail" not in index
    assert "退出所有设备" in people
    assert "Sign out everywhere" not in people


def test_the_admin_speaks_the_browsers_language_where_nobody_chose(desk):
    assert "审计记录" in desk.get("/admin/", **CHINESE).content.decode()
    assert "Audit trail" in desk.get("/admin/", **ENGLISH).content.decode()


def test_the_skin_speaks_it_too(desk):
    """Unfold brings no translations; ours lie in locale/unfold."""
    told = desk.get(page("accounts_user_changelist") + "?q=nobody", **CHINESE).content.decode()

    assert "没有结果。请新建一项" in told


def test_pages_speak_the_browsers_language():
    told = Client().get("/", HTTP_ACCEPT="text/html", **CHINESE).content.decode()

    assert '<html lang="zh-hans"' in told
    assert "Parley 正在运行。" in told


@pytest.mark.parametrize(
    ("letter", "subject", "words"),
    [
        (Letter.RESET, "设置 Parley 的新密码", "链接只能使用一次"),
        (Letter.CONFIRM_EMAIL, "确认您的新邮箱", "链接只能使用一次"),
        (Letter.EMAIL_CHANGE_ASKED, "您的 Parley 邮箱即将更改", "请立即修改密码"),
        (Letter.EMAIL_CHANGED, "您的 Parley 邮箱已更改", "今后不再向此邮箱发送邮件"),
    ],
)
def test_each_letter_is_written_in_the_persons_language(
    zhang, django_capture_on_commit_callbacks, letter, subject, words
):
    """Whatever the language of whoever asked for it, who may be a stranger (a reset)."""
    zhang.pending_email = zhang.email
    zhang.save()
    with translation.override("en"), django_capture_on_commit_callbacks(execute=True):
        mails.post(letter, address=zhang.email, user=None if letter == Letter.RESET else zhang)

    (sent,) = mail.outbox
    assert sent.subject == subject
    for text in ("张敏", "您好", words):
        assert text in sent.body


def test_a_password_that_is_too_short_is_refused_in_the_readers_language(client):
    refused = client.post(
        "/api/v1/auth/register",
        {"username": "mina", "email": "mina@example.com", "password": "Zq7#x"},
        content_type="application/json",
        headers={"Accept-Language": "zh-CN"},
    )

    assert refused.status_code == 400
    (told,) = refused.json()["errors"]["password"]
    assert told.startswith("密码太短")
    assert "8" in told

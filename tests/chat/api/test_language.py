"""Problems in the caller's language, over REST, event streams and sockets."""

from __future__ import annotations

from uuid import uuid4

import pytest

from models_registry.errors import ProviderTimeout
from models_registry.providers.base import TextDelta
from tests.asgi import Request, Socket

pytestmark = pytest.mark.django_db(transaction=True)

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}
ENGLISH = {"Accept-Language": "en"}

NOTHING_HERE = "这里什么都没有。"
TOO_SLOW = "模型服务商响应超时。"


@pytest.fixture(params=["chosen", "asked for"])
def headers(request, alice) -> dict[str, str]:
    """What a Chinese person sends: their own choice wins over the browser's."""
    if request.param == "asked for":
        return CHINESE
    alice.user.language = "zh-hans"
    alice.user.save()
    return ENGLISH


async def test_rest_answers_in_it(serving, token, headers):
    path = f"conversations/{uuid4()}"
    told = await Request("GET", path, token=token, headers=headers).json()

    assert (told["code"], told["title"]) == ("not_found", NOTHING_HERE)


async def test_a_wrong_field_and_a_wrong_parameter_are_told_in_it(serving, token, headers):
    body = {"title": 5}
    field = await Request("POST", "conversations", token=token, body=body, headers=headers).json()
    query = await Request("GET", "users/me?cursor=x", token=token, headers=headers).json()

    assert field["errors"] == {"title": ["必须是文本。"]}
    assert query["errors"] == {"cursor": ["未知的字段。"]}


async def test_a_refused_stream_and_one_that_breaks_off_say_so_in_it(
    serving, token, headers, conversation, script
):
    path = f"conversations/{conversation.id}/messages/stream"
    wrong = await Request("POST", path, token=token, body={"content": ""}, headers=headers).json()
    script(TextDelta("a"), ProviderTimeout())
    *_, end = await Request(
        "POST", path, token=token, body={"content": "Hi"}, headers=headers
    ).events()

    assert wrong["title"] == "请求无效。"
    assert (end["type"], end["message"]["error"]["detail"]) == ("chat_complete", TOO_SLOW)


async def test_sockets_answer_in_it(serving, token, headers):
    async with Socket(token=token, headers=headers) as socket:
        told = await socket.ask({"type": "stop", "message_id": str(uuid4())})
        unknown = await socket.ask({"type": "execute"})

    assert (told["code"], told["detail"]) == ("not_found", NOTHING_HERE)
    assert unknown["detail"] == "没有这种类型的帧。"


async def test_a_choice_made_elsewhere_counts_on_an_open_socket_with_its_next_token(
    serving, token, alice
):
    async with Socket(token=token, headers=ENGLISH) as socket:
        alice.user.language = "zh-hans"
        await alice.user.asave()
        await socket.ask({"type": "authenticate", "access_token": token})
        told = await socket.ask({"type": "execute"})

    assert told["detail"] == "没有这种类型的帧。"


async def test_who_chose_english_is_not_answered_in_their_browsers_language(serving, token, alice):
    alice.user.language = "en"
    await alice.user.asave()

    told = await Request("GET", f"messages/{uuid4()}/stream", token=token, headers=CHINESE).json()

    assert told["title"] == "There is nothing here."


async def test_one_persons_language_is_not_the_next_ones(serving, token, stranger, alice):
    alice.user.language = "zh-hans"
    await alice.user.asave()

    for person, title in ((token, NOTHING_HERE), (stranger, "There is nothing here.")) * 2:
        told = await Request("GET", f"conversations/{uuid4()}", token=person).json()
        assert told["title"] == title

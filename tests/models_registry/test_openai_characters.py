"""I5: what was cut comes whole over OpenAI's wire, what cannot be stored is replaced."""

import pytest

from tests.models_registry.asking import ask, text
from tests.models_registry.upstream import DONE, Reply, Wait, delta, finish, sse

pytestmark = pytest.mark.usefixtures("clients")

DICE = "🎲"


class TestCharacters:
    """I5: what was cut comes whole, what cannot be stored is replaced."""

    @pytest.mark.parametrize("cut", range(1, 4))
    async def test_an_emoji_cut_between_network_reads(self, upstream, endpoint, cut):
        wire = sse(delta("a"), end=b"") + b"\n\n"
        wire += b'data: {"choices":[{"index":0,"delta":{"content":"\xf0\x9f\x8e\xb2"}}]}\n\n'
        at = wire.index(b"\xf0") + cut
        pause = Wait()
        pause.set()
        upstream.script(Reply((wire[:at], pause, wire[at:], sse(finish(), DONE))))

        assert text(await ask(endpoint)) == "a" + DICE

    @pytest.mark.parametrize("cut", range(1, 4))
    async def test_an_emoji_cut_between_events(self, upstream, endpoint, cut):
        raw = DICE.encode()
        upstream.script(
            Reply((_raw_text(b"a" + raw[:cut]), _raw_text(raw[cut:] + b"b"), sse(finish(), DONE)))
        )

        assert text(await ask(endpoint)) == f"a{DICE}b"

    async def test_a_surrogate_pair_cut_between_events(self, upstream, endpoint):
        upstream.script(
            Reply((_raw_text(rb"a\ud83c"), _raw_text(rb"\udfb2b"), sse(finish(), DONE)))
        )

        assert text(await ask(endpoint)) == f"a{DICE}b"

    async def test_halves_without_another_and_nul_are_replaced(self, upstream, endpoint):
        upstream.script(
            Reply((_raw_text(rb"a\u0000b\udfb2c"), _raw_text(rb"d\ud83c"), sse(finish(), DONE)))
        )

        assert text(await ask(endpoint)) == "a\ufffdb\ufffdcd\ufffd"

    @pytest.mark.row("F11")
    async def test_line_separators_of_other_standards_are_text(self, upstream, endpoint):
        """F11"""
        upstream.script(
            Reply((_raw_text("a\u2028b\u0085c".encode() + rb"\u001c"), sse(finish(), DONE)))
        )

        assert text(await ask(endpoint)) == "a\u2028b\u0085c\x1c"


def _raw_text(content):
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % content

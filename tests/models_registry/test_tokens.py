"""Counting tokens: offline, linear, never raising."""

import gzip
import hashlib
from typing import Any

import pytest
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from models_registry import tokens
from models_registry.providers.base import Usage
from models_registry.tokens import CL100K, O200K, count, count_messages, encoding_for, trusted_usage


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("", O200K, 0),
        ("Hello, world!", O200K, 4),
        ("Hello, world!", CL100K, 4),
        ("Hello, world!", "unknown_base", 4),
        ("<|endoftext|>", O200K, 7),
    ],
)
def test_counts(text, encoding, expected):
    assert count(text, encoding) == expected


def test_the_encoding_matters_for_chinese():
    text = "客服工单已转接请稍候片刻"

    assert count(text, O200K) < count(text, CL100K)


def test_half_a_surrogate_pair_counts_too():
    assert count("a\ud800b", O200K) > 0


@pytest.mark.parametrize("name", [CL100K, O200K])
def test_ranks_and_patterns_are_tiktokens_own(name, monkeypatch):
    """Ours are copies, because tiktoken's own functions would fetch over the network."""
    wanted = []

    def load(_url, expected_hash):
        wanted.append(expected_hash)
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", load)
    theirs = getattr(openai_public, name)()
    packed = tokens._FOLDER / f"{name}.tiktoken.gz"  # noqa: SLF001

    assert hashlib.sha256(gzip.decompress(packed.read_bytes())).hexdigest() == wanted[0]
    assert tokens._PATTERNS[name] == theirs["pat_str"]  # noqa: SLF001


@pytest.mark.row("R4")
@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "^" * 1_000_000,
        "a!" * 30_000,
        " " * 100_000,
        "\n" * 100_000,
        "汉" * 100_000,
        "x " * 500_000,
    ],
    ids=["letters", "marks", "pairs", "spaces", "lines", "cjk", "words"],
)
def test_of_a_huge_text_only_samples_are_encoded(text, monkeypatch):
    """R4: work is bounded, however long and whatever the text."""
    encoded = []
    real = tokens._exact  # noqa: SLF001

    def noted(text, name):
        encoded.append(len(text))
        return real(text, name)

    monkeypatch.setattr(tokens, "_exact", noted)

    assert count(text, O200K) > 0
    assert sum(encoded) <= 20_000


@pytest.mark.parametrize("text", ["Der schnelle Fuchs. " * 5_000, "数据库连接失败。" * 10_000])
def test_an_estimate_is_near(text):
    exact = len(tokens._encoding(O200K).encode_ordinary(text))  # noqa: SLF001

    assert exact * 0.9 < count(text, O200K) < exact * 1.1


def test_messages():
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, "noise"]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    ]

    assert count_messages([], O200K) == 3
    assert count_messages(messages[:1], O200K) == 3 + 4 + count("Be brief.", O200K)
    assert count_messages(messages, O200K) > count_messages(messages[:2], O200K)


def test_a_picture_counts_as_one():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}

    assert count_messages([{"role": "user", "content": [picture]}], O200K) < 1_000


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("gpt-4", CL100K), ("gpt-4o", O200K), ("qwen3:8b", O200K), ("nobody-knows", O200K)],
)
def test_each_model_has_an_encoding(name, encoding):
    assert encoding_for(name) == encoding


class TestTrust:
    """F13: what a provider reports counts only where it can be true."""

    @pytest.mark.parametrize(
        "reported",
        [Usage(100, 50), Usage(1_000, 500), Usage(1, 1), Usage(100, 500, reasoning_tokens=450)],
    )
    def test_what_can_be_true_is_taken(self, reported):
        assert trusted_usage(reported, prompt_estimate=100, completion_estimate=50) == (
            reported,
            False,
        )

    @pytest.mark.row("F13")
    @pytest.mark.parametrize(
        ("reported", "charged"),
        [
            (None, Usage(100, 50)),
            (Usage(-5, 50), Usage(100, 50)),
            (Usage(100, 10**12), Usage(100, 50)),
            (Usage(1_001, 50), Usage(100, 50)),
            (Usage(100, 501), Usage(100, 50)),
            (Usage(0, 0), Usage(100, 50)),
            (Usage(100, 10**12, reasoning_tokens=10**12), Usage(100, 50)),
            (Usage(100, 60, reasoning_tokens=-9), Usage(100, 60)),
        ],
    )
    def test_what_cannot_is_an_estimate_and_marked(self, reported, charged):
        usage, estimated = trusted_usage(reported, prompt_estimate=100, completion_estimate=50)

        assert usage == charged
        assert estimated is (reported is None or reported.reasoning_tokens >= 0)

    def test_a_short_answer_leaves_room_for_special_tokens(self):
        reported = Usage(300, 12)

        assert trusted_usage(reported, prompt_estimate=9, completion_estimate=1)[1] is False

    def test_nothing_said_may_cost_nothing(self):
        assert trusted_usage(Usage(9, 0), prompt_estimate=9, completion_estimate=0) == (
            Usage(9, 0),
            False,
        )

    def test_no_more_is_cached_than_was_sent(self):
        usage, _ = trusted_usage(
            Usage(9, 1, cached_tokens=10**9), prompt_estimate=9, completion_estimate=1
        )

        assert usage.cached_tokens == 9

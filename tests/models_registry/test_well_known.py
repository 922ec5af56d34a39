"""What is known of a model by its name."""

import pytest

from models_registry.well_known import WellKnown, _table, lookup

MILLION_DOLLARS = 10**15


def known(name) -> WellKnown:
    found = lookup(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("gpt-4o", 128_000),
        ("gpt-4o-2024-11-20", 128_000),
        ("openai/gpt-4o", 128_000),
        ("openai/gpt-4o:free", 128_000),
        ("GPT-4o", 128_000),
        ("gpt-5-2025-08-07", 400_000),
        ("qwen3:8b", 131_072),
        ("claude-opus-5-5", 1_000_000),
        ("claude-haiku-4-5-20251001", 200_000),
        ("qwen3-max-2026-01-23", 262_144),
        ("hf.co/bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M", 131_072),
    ],
)
def test_names_are_seen_through(name, context):
    assert known(name).context_window == context


def test_prices_are_billionths_per_million_tokens():
    mini = known("gpt-4o-mini")

    assert (mini.input_price, mini.cached_price, mini.output_price) == (
        150_000_000,
        75_000_000,
        600_000_000,
    )


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("claude-opus-5-5", "claude-opus-5"),
        ("claude-fable-5-1", "claude-fable-5"),
        ("qwen3-max", "qwen3:8b"),
    ],
)
def test_a_newer_model_is_not_taken_for_the_one_it_is_named_after(newer, older):
    assert known(newer) != known(older)


@pytest.mark.parametrize("name", ["nobody-knows-1", "", "gpt", "*"])
def test_of_others_nothing_is_known(name):
    assert lookup(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "text-embedding-3-small",
        "whisper-1",
        "tts-1-hd",
        "dall-e-3",
        "gpt-image-1",
        "omni-moderation-latest",
        "gpt-4o-realtime-preview",
        "gpt-4o-audio-preview",
        "gpt-4o-mini-transcribe",
        "davinci-002",
        "gpt-3.5-turbo-instruct",
        "o3-pro",
        "gpt-5-codex",
        "nomic-embed-text:latest",
        "sora-2",
    ],
)
def test_what_is_not_for_chat_is_known_as_that(name):
    assert known(name).chat is False


@pytest.mark.parametrize("name", ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo"])
def test_older_models_count_by_their_own_encoding(name):
    assert known(name).encoding == "cl100k_base"


def test_the_table_is_large_and_sane():
    entries = {id(entry): entry for _pattern, entry in _table()}.values()

    assert sum(entry.chat for entry in entries) >= 60
    for entry in entries:
        assert entry.encoding in {"cl100k_base", "o200k_base"}
        assert set(entry.capabilities) <= {"vision", "tools", "reasoning"}
        assert 0 <= entry.input_price < MILLION_DOLLARS
        assert entry.cached_price is None or entry.cached_price < entry.input_price

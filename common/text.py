"""Text that every database and every wire can hold."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import regex
from django.utils.translation import gettext_lazy as _

from common.errors import Invalid

# PostgreSQL refuses NUL; a lone surrogate has no UTF-8 form.
_UNSOUND = re.compile("[\x00\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

# ZWNJ and ZWJ: Persian and Indic scripts are not spelt right without them, emoji not joined.
JOINERS = frozenset("\u200c\u200d")
# Between two characters that are seen, of which one is of a script that may join: between Latin
# letters a joiner would only hide. After a virama also at the end of a word.
_NEVER_JOINED = r"\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Han}\p{Nd}\p{P}"
_JOINING = regex.compile(
    rf"(?<=[^\p{{C}}\p{{Z}}])[\u200c\u200d](?=[^\p{{C}}\p{{Z}}{_NEVER_JOINED}])"
    rf"|(?<=[^\p{{C}}\p{{Z}}{_NEVER_JOINED}])[\u200c\u200d](?=[^\p{{C}}\p{{Z}}])"
    r"|(?<=\p{ccc=9})[\u200c\u200d]"
)
# Controls, marks and overrides of direction, tags, soft hyphens. White space among them is gone
# before; the marks that enclose Arabic numbers are formats too, and are seen.
_TURNING = regex.compile(r"[[\p{Cc}\p{Cf}]--[\u200c\u200d\p{PCM}]]", regex.V1)
_SEEN = regex.compile(r"[[\p{L}\p{N}\p{P}\p{S}]--[\p{DI}\u2800]]", regex.V1)
_UNSEEN = regex.compile(r"[[\p{C}\p{DI}\u2800]--\s]", regex.V1)

# Our API keys (also misspelt ones, K4), what vendors' keys look like, and our tokens. A token
# begins only where no other could go on: else beginnings alone would be read again for each.
_SECRETS = re.compile(
    r"\b(parley-|sk-)[0-9A-Za-z_-]{16,}"
    r"|(?<![0-9A-Za-z_-])(eyJ)[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+"
)

_LONG_QUOTE = re.compile(r'"(.{99}).{2,}"', re.DOTALL)
_LONG_WORD = re.compile(r"(\S{99})\S{2,}")


def clean(text: str) -> str:
    """`text` with NUL and lone surrogates replaced by U+FFFD; for what a provider sent."""
    if not _UNSOUND.search(text):
        return text
    joined = _PAIR.sub(
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
    )
    return _UNSOUND.sub("\ufffd", joined)


def printable(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would obey."""
    return "".join(char for char in clean(text) if char.isprintable() or char in JOINERS)


def heading(text: str) -> str:
    """`text` on one line, without what turns or hides the rest of it; "" where nothing is seen.

    For titles. Joiners stay, for emoji and for scripts that need them, and so do letters that
    this Python does not know yet.
    """
    line = " ".join(_TURNING.sub("", " ".join(clean(text).split())).split())
    return line if _SEEN.search(line) else ""


def is_line(text: str) -> bool:
    """Is `text` one line of which something is seen, and nothing in it hides or turns the rest?"""
    return _SEEN.search(text) is not None and _JOINING.sub("", text).isprintable()


def visible_length(text: str) -> int:
    """How many characters of `text` take any room, white space included."""
    return len(_UNSEEN.sub("", text))


def beginning(text: str, *, most_bytes: int) -> str:
    """What of `text` fits into so many bytes of UTF-8, in whole characters. It must be sound."""
    if len(text) * 4 <= most_bytes:
        return text
    return text.encode()[:most_bytes].decode(errors="ignore")


def is_sound(text: str) -> bool:
    return _UNSOUND.search(text) is None


def is_sound_query(raw: str) -> bool:
    """Is a query, as it came, UTF-8 behind its percent signs? Django would put U+FFFD."""
    try:
        return is_sound(unquote_to_bytes(raw).decode())
    except UnicodeError:
        return False


def check_text(value: str) -> str:
    """`value` itself; raises Invalid when it holds NUL or a lone surrogate."""
    if _UNSOUND.search(value):
        raise Invalid(_("Text may not hold NUL or half a surrogate pair."))
    return value


def check_json(value: Any) -> Any:
    """`value` itself; raises Invalid when any text in it, keys too, is unsound.

    Walks without recursion, so that no nesting can exhaust the stack.
    """
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            check_text(node)
        elif isinstance(node, dict):
            waiting.extend(node.keys())
            waiting.extend(node.values())
        elif isinstance(node, list | tuple):
            waiting.extend(node)
    return value


def without_secrets(text: str) -> str:
    """`text` with only the beginning of each key and token in it: in a log, in an answer."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2]}…", text)


def bounded(sentence: object) -> str:
    """A sentence of a library's, with what it repeats of the input cut to a hundred characters."""
    told = without_secrets(str(sentence))
    return _LONG_WORD.sub(r"\1…", _LONG_QUOTE.sub(r'"\1…"', told))


def excerpt(text: object, *, characters: int = 100) -> str:
    """At most so many characters of what a caller sent, for a sentence that repeats it (G3)."""
    whole = without_secrets(str(text))
    return whole if len(whole) <= characters else whole[: characters - 1] + "…"

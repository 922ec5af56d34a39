"""Tables as CSV, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

# A spreadsheet would compute what begins so (A10).
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def as_csv(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str] = (), *, with_heading: bool = True
) -> str:
    """Rows under `names`, else under the keys of the first one; nothing where there are none."""
    names = names or list(rows[0] if rows else ())
    out = io.StringIO()
    sheet = csv.writer(out, lineterminator="\r\n")
    if names and with_heading:
        sheet.writerow(names)
    sheet.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    is_text = not isinstance(value, int | float)
    return f"'{text}" if is_text and text.startswith(_FORMULAS) else text

"""Commands in the language of the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.command_line import language_of

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh-hans"),
        ({"LANG": "zh_SG"}, "zh-hans"),
        ({"LANG": "en_GB.UTF-8@euro"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "en_US", "LC_ALL": "zh_CN"}, "zh-hans"),
        ({"LANG": "zh_CN", "LC_ALL": ""}, "zh-hans"),
        ({"LANG": "de_DE.UTF-8"}, ""),
        ({"LANG": "C.UTF-8"}, ""),
        ({"LANG": "x" * 1000 + "_\x00"}, ""),
        ({}, ""),
    ],
)
def test_the_locale_names_the_language(environ, language):
    assert language_of(environ) == language


@pytest.mark.parametrize(
    ("locale", "words"), [("zh_CN.UTF-8", "添加连接"), ("C.UTF-8", "Add a connection")]
)
def test_a_command_explains_itself_in_it(tmp_path, locale, words):
    """Whether that locale is installed or not: the translations are our own."""
    environ = {**os.environ, "LC_ALL": locale, "DATA_DIR": str(tmp_path), "PYTHONUTF8": "1"}

    told = subprocess.run(
        [sys.executable, "manage.py", "connection", "--help"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )

    assert words in told.stdout

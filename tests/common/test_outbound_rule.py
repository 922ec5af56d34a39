"""O1: one module makes what opens connections to others, and an import rule says so."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("config", "support", "chat", "quotas", "models_registry", "accounts", "common")
CLIENTS = {"aiohttp", "anthropic", "dashscope", "httpx", "httpx2", "openai", "requests", "urllib3"}
# Whoever calls one of these opens connections by rules of its own.
OPENING = {
    "ClientSession",
    "TCPConnector",
    "AsyncHTTPTransport",
    "HTTPTransport",
    "open_connection",
    "urlopen",
}
# common.outbound makes the guarded session; the other two are given it, and nothing else.
GUARDED = {"common/outbound.py": {"ClientSession", "TCPConnector"}}

pytestmark = pytest.mark.row("O1")


def _rule():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {each["id"]: each for each in project["tool"]["importlinter"]["contracts"]}
    return contracts["vendors"]


def test_the_rule_covers_every_app_and_every_client():
    rule = _rule()

    assert set(rule["source_modules"]) == set(APPS)
    assert set(rule["forbidden_modules"]) == CLIENTS
    importers = {line.partition(" -> ")[0] for line in rule["ignore_imports"]}
    assert importers == {"common.outbound", "models_registry.providers.*"}


def test_a_module_that_imports_a_client_breaks_the_rule(tmp_path):
    for app in APPS:
        (tmp_path / app).symlink_to(ROOT / app)
    (tmp_path / "support").unlink()
    (tmp_path / "support").mkdir()
    (tmp_path / "support" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").symlink_to(ROOT / "pyproject.toml")

    def linted():
        script = "from importlinter.cli import lint_imports_command as run; run()"
        return subprocess.run(
            [sys.executable, "-c", script, "--contract", "vendors", "--no-cache"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    sound = linted()
    (tmp_path / "support" / "hooks.py").write_text("import aiohttp\n", encoding="utf-8")
    broken = linted()

    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert broken.returncode == 1
    assert "support.hooks -> aiohttp" in broken.stdout


def test_only_the_guards_module_opens_connections():
    found = {}
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            called = {
                ast.unparse(node.func).rpartition(".")[2]
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
            }
            if opening := called & OPENING:
                found[path.relative_to(ROOT).as_posix()] = opening

    assert found == GUARDED

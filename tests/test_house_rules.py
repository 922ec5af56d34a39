"""Rules of this house that no linter knows."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from django.apps import apps
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

from common.errors import AppError
from common.schema_state import BREAKING

ROOT = Path(__file__).resolve().parent.parent
APPS = ("common", "accounts", "models_registry", "quotas", "chat", "support", "config")
# Made by running it, or by others.
NOT_OURS = {"var", "staticfiles", "htmlcov", "__pycache__", "vendor", "node_modules"}
SOURCES = {".py", ".sh", ".js", ".css", ".html"}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not path.name.startswith(".") and path.name not in NOT_OURS:
                yield from _files(path)
        elif path.suffix in SOURCES:
            yield path


FILES = list(_files(ROOT))
PYTHON = [path for path in FILES if path.suffix == ".py"]


def _subclasses(cls: type[AppError]) -> Iterator[type[AppError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def test_no_source_file_is_longer_than_400_lines():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in FILES
        if "migrations" not in path.parts
        for lines in [path.read_text(encoding="utf-8").count("\n")]
        if lines > 400
    }

    assert long == {}


def test_no_two_errors_define_one_code():
    for app in APPS:
        package = importlib.import_module(app)
        for module in pkgutil.walk_packages(package.__path__, f"{app}."):
            if module.name.rsplit(".", 1)[-1] == "errors":
                importlib.import_module(module.name)

    owners = defaultdict(list)
    classes: set[type[AppError]] = {AppError, *_subclasses(AppError)}
    for cls in classes:
        if "code" in vars(cls) and cls.__module__.split(".")[0] in APPS:
            owners[cls.code].append(f"{cls.__module__}.{cls.__qualname__}")

    assert {code: names for code, names in owners.items() if len(names) > 1} == {}


_SERIOUS = {"warning", "error", "exception", "critical"}


def _warnings(path: Path) -> Iterator[str]:
    """What a module logs as a warning or worse, as far as it stands there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="logger"), attr=level),
                args=[ast.Constant(value=str(said)), *_rest],
            ) if level in _SERIOUS:
                yield said
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="logger"), attr="log"),
                args=[_level, ast.Constant(value=str(said)), *_rest],
            ):
                yield said
            case ast.keyword(arg="failed", value=ast.Constant(value=str(said))):
                yield said


def test_a_warning_in_the_log_is_a_sentence():
    """An operator reads it: what happened, and what to do. What it is about stands in fields. A
    line of the request log is one of a table, whatever its level."""
    ours = [path for path in PYTHON if path.relative_to(ROOT).parts[0] in APPS]
    ours.remove(ROOT / "common" / "request_log.py")
    said = [each for path in ours for each in _warnings(path)]

    assert said
    assert [each for each in said if " " not in each] == []


def test_imports_run_in_no_circle_not_even_those_for_types_or_within_functions():
    graph = grimp.build_graph(*APPS, cache_dir=None)

    circles = {
        f"{importer} -> {imported}"
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if graph.chain_exists(imported, importer)
    }

    assert len(graph.modules) > len(APPS)
    assert circles == set()


@pytest.mark.parametrize("path", [p for p in PYTHON if "migrations" in p.parts], ids=str)
def test_migrations_import_no_code_of_the_apps(path):
    # A migration must still run when today's code is long gone.
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert names.isdisjoint(APPS)


# Made before two versions could run side by side.
_EARLY = {
    ("chat", name)
    for name in (
        "0002_what_ends_a_turn",
        "0003_feedback",
        "0004_search",
        "0006_titles",
        "0007_transfer",
    )
}
_TAKES_AWAY = (
    operations.RemoveField,
    operations.DeleteModel,
    operations.RenameField,
    operations.RenameModel,
)


def _breaks(migration):
    """Would the version before fail on a database that this was done to?"""
    made = {
        each.name_lower for each in migration.operations if isinstance(each, operations.CreateModel)
    }
    for each in migration.operations:
        if isinstance(each, _TAKES_AWAY):
            return True
        if isinstance(each, operations.AddField) and each.model_name_lower not in made:
            has_value = each.field.null or each.field.db_default is not NOT_PROVIDED
            if not (has_value or each.field.many_to_many):
                return True
    return False


@pytest.mark.row("F18")
def test_a_migration_only_adds_unless_its_name_says_so():
    # F18, as docs/self-hosting.md promises: columns are nullable or the database has a default.
    ours = {each.label for each in apps.get_app_configs() if each.name in APPS}
    found = MigrationLoader(None).disk_migrations
    breaking = {key for key, each in found.items() if key[0] in ours and _breaks(each)}

    assert {key for key in breaking - _EARLY if not key[1].endswith(BREAKING)} == set()
    assert breaking >= _EARLY  # the rule finds what it looks for


def test_the_environment_is_read_in_one_place():
    allowed = {
        "config/env.py",
        "config/celery.py",
        "config/asgi.py",
        "config/settings_test.py",
        "manage.py",
        "deploy/healthcheck.py",
    }
    readers = {
        str(path.relative_to(ROOT))
        for path in PYTHON
        if path.relative_to(ROOT).parts[0] not in {"tests", "bench", "bin"}
        and re.search(r"os\.(environ|getenv)", path.read_text(encoding="utf-8"))
    }

    assert readers <= allowed

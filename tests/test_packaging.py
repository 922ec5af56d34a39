"""What is shipped around the code: requirements, settings, README, containers."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from prometheus_client import REGISTRY

from chat.api.schema import STREAM_EVENTS
from config import documents, env
from tests import walk_table
from tests.server import environment, manage

ROOT = Path(__file__).resolve().parent.parent
APPS = ("common", "accounts", "models_registry", "quotas", "chat", "support", "config")


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _requirements(name: str) -> list[tuple[Requirement, str]]:
    """The lines of a .in file as (requirement, its comment)."""
    found = []
    for line in _text(name).splitlines():
        wanted, _, comment = line.partition("#")
        if wanted.strip() and not wanted.startswith("-"):
            found.append((Requirement(wanted.strip()), comment.strip()))
    return found


def _pins(name: str) -> dict[str, Version]:
    return {
        match["name"]: Version(match["version"])
        for match in re.finditer(r"(?m)^(?P<name>[a-z0-9.-]+)==(?P<version>[^ ;\\]+)", _text(name))
    }


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imports(path: Path) -> set[str]:
    """The top-level names that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def _variables_of_env_example() -> set[str]:
    return set(re.findall(r"(?m)^#?([A-Z][A-Z0-9_]+)=", _text(".env.example")))


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_requirement_says_what_it_is_for_and_is_pinned(name):
    pins = _pins(f"{name}.txt")

    for requirement, comment in _requirements(f"{name}.in"):
        assert comment, f"{requirement.name} has no comment"
        assert requirement.specifier, f"{requirement.name} has no range"
        assert pins[requirement.name.lower()] in requirement.specifier, requirement.name


def test_what_the_code_imports_is_required_by_name():
    # What only another package brings along may be gone with its next release.
    owners = packages_distributions()
    required = {_canonical(requirement.name) for requirement, _ in _requirements("requirements.in")}
    missing = {}
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for name in _imports(path) - set(sys.stdlib_module_names) - set(APPS):
                if required.isdisjoint(_canonical(owner) for owner in owners.get(name, [])):
                    missing[name] = str(path.relative_to(ROOT))

    assert missing == {}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_hashes_and_no_file_names_an_index(name):
    text = _text(name)
    entries = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]

    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"--(extra-)?index-url|--find-links|://", text)


@pytest.mark.row("D1")
def test_the_floors_of_the_security_rows_hold():
    """Known holes lie below these."""
    floors = {
        "django": "5.2.19",
        "djangorestframework": "3.18",
        "uvicorn": "0.54",
        "aiohttp": "3.14.4",
        "pyjwt": "2.15",
        "h11": "0.16",
    }

    pins = _pins("requirements.txt")

    assert _below(floors, pins) == set()
    for name in floors:  # and each that is taken back is found
        assert _below(floors, pins | {name: Version("0.1")}) == {name}


def _below(floors: dict[str, str], pins: dict[str, Version]) -> set[str]:
    return {name for name, floor in floors.items() if pins[name] < Version(floor)}


def test_the_project_s_version_is_one():
    project = tomllib.loads(_text("pyproject.toml"))["project"]["version"]
    changelog = re.search(r"(?m)^## v(\S+)", _text("CHANGELOG.md"))

    assert changelog
    assert changelog[1] == project
    assert f'VERSION = "{project}"' in _text("config/settings.py")


def _document_settings(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        return manage(
            "document_settings", *options, environ=environment(Path(folder), port=8139, **environ)
        )


def test_env_example_and_the_guide_are_as_the_settings_have_them():
    checked = _document_settings("--check")

    assert (checked.returncode, checked.stderr) == (0, "")


def test_what_the_documents_say_does_not_depend_on_who_writes_them():
    elsewhere = {"HOST": "10.0.0.1", "LIMIT_FACTOR": "10", "TURN_SECONDS": "5"}

    checked = _document_settings("--check", **elsewhere, PUBLIC_URL="https://chat.example.com")

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (documents.EXAMPLE, "#PORT=8000", "#PORT=80"),
        (documents.GUIDE, "| `TURN_SECONDS` |", "| `TURN_MINUTES` |"),
        (documents.GUIDE, "| `default_model` |", "| `default` |"),
    ],
)
def test_a_stale_document_is_named(tmp_path, name, old, new):
    for each in (documents.EXAMPLE, documents.GUIDE):
        copy = tmp_path / each
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(_text(each).replace(old, new) if each == name else _text(each), "utf-8")

    assert old in _text(name)
    assert list(documents.stale(tmp_path)) == [name]


def test_a_variable_without_a_sentence_is_named(monkeypatch):
    monkeypatch.setitem(env.readings, "NEWLY_READ", env.Reading("text"))
    monkeypatch.delitem(env.readings, "PORT")

    assert {"NEWLY_READ", "PORT"} <= set(documents.undescribed())


def test_the_readme_begins_with_two_lines_to_run_and_one_to_test():
    blocks = re.findall(r"(?ms)^```[a-z]*\n(.*?)^```", _text("README.md"))

    first, second = blocks[0].splitlines(), blocks[1].splitlines()
    assert len(first) == 2
    assert re.fullmatch(r"git clone \S+ && cd \S+", first[0])
    assert first[1] == "make run"
    assert second == ["make test"]


def test_the_chinese_readme_shows_the_same_and_each_names_the_other():
    english, chinese = _text("README.md"), _text("README.zh-CN.md")

    def skeleton(text: str) -> list[str]:
        return [
            line.split(" ")[0] if line.startswith("#") else line
            for line in re.findall(r"(?ms)^```.*?^```$|^#+ .*?$|docs/[a-z-]+\.md", text)
        ]

    assert skeleton(chinese) == skeleton(english)
    assert "(README.zh-CN.md)" in english
    assert "(README.md)" in chinese


def test_what_the_table_of_names_calls_ours_is_there():
    section = _text("docs/api.md").split("## How is it called here")[1].split("\n## ")[0]
    ours = [line.split("|")[2] for line in section.splitlines() if line.startswith("| `")]

    routes = {re.sub(r"<[^>]+>", "{id}", str(route)) for route in walk_table.ROUTES}
    named = re.findall(r"`((?:GET|POST|PATCH) )([a-z/{}-]+)`", "".join(ours))
    assert len(named) > 8
    assert {f"{method}api/v1/{path}" for method, path in named} <= routes
    frames = {frame.type for frame in walk_table.FRAMES["/ws/chat"]}
    events = {"pong", "user_typing", "chat_start", "chat_chunk", "chat_complete", "chat_error"}
    shown = {word for cell in ours[-6:] for word in re.findall(r"`([a-z_]+)`", cell)}
    assert shown - {"conversation_id", "user_id", "message", "seq"} <= frames | events


def test_the_guide_of_sockets_has_every_frame_and_event():
    guide = _text("docs/websocket-and-sse.md")
    described = set(re.findall(r"(?m)^\| ((?:`[a-z_]+`(?:, )?)+) \|", guide))
    names = {name for cell in described for name in re.findall(r"[a-z_]+", cell)}

    frames = {frame.type for frame in walk_table.FRAMES["/ws/chat"]}
    events = {schema["properties"]["type"]["enum"][0] for schema in STREAM_EVENTS.values()}
    assert frames | events <= names


def test_links_in_the_documents_lead_somewhere():
    broken = []
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = re.sub(r"(?ms)^```.*?^```", "", path.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")

    assert broken == []


def test_make_help_lists_every_target():
    phony = " ".join(re.findall(r"(?m)^\.PHONY: (.*)$", _text("Makefile"))).split()

    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "security-rows" in phony
    for target in set(phony) - {"FORCE"}:
        assert re.search(rf"(?m)^  make {target} +\S", shown.stdout), target


def test_compose_follows_the_specification():
    compose = yaml.safe_load(_text("docker-compose.yml"))

    schema = json.loads(_text("tests/data/compose-spec.json"))
    assert [
        error.message for error in jsonschema.Draft7Validator(schema).iter_errors(compose)
    ] == []


@pytest.mark.row("D4")
def test_compose_has_the_five_services_of_a_production():
    services = yaml.safe_load(_text("docker-compose.yml"))["services"]

    assert {"web", "worker", "beat", "postgres", "redis"} <= services.keys()
    for name in ("web", "worker", "beat"):
        assert services[name]["read_only"] is True
        assert (services[name]["volumes"], services[name]["tmpfs"]) == (["data:/data"], ["/tmp"])  # noqa: S108
        assert services[name]["environment"]["DATA_DIR"] == "/data"
        assert services[name]["environment"]["PRODUCTION"] == "true"
        assert services[name]["environment"]["EMBEDDED_WORKER"] == "false"


@pytest.mark.row("D3")
def test_compose_takes_every_secret_from_the_environment():
    """Redis has a password; nothing secret stands in the file."""
    text = _text("docker-compose.yml")

    assert "--requirepass" in text
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) <= _variables_of_env_example()
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert re.findall(rf"\$\{{{name}(?!:\?)", text) == []


@pytest.mark.row("D4")
def test_the_image_runs_as_a_fixed_person_without_rights():
    """A fixed non-root user."""
    dockerfile = _text("Dockerfile")

    assert re.search(r"(?m)^USER 10001:10001$", dockerfile)
    assert "--require-hashes" in dockerfile
    assert re.search(r"(?m)^HEALTHCHECK ", dockerfile)


def test_every_dashboard_and_service_file_can_be_read():
    for path in (ROOT / "deploy").rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in (ROOT / "deploy").rglob("*.yml"):
        yaml.safe_load(path.read_text(encoding="utf-8"))
    units = {path.name: path.read_text("utf-8") for path in (ROOT / "deploy").rglob("*.service")}
    assert "SuccessExitStatus=143" in units["parley@.service"]


def test_the_dashboard_asks_for_metrics_that_exist():
    importlib.import_module("common.metrics")
    counted = {family.name for family in REGISTRY.collect()}

    asked = set(re.findall(r"\bparley_[a-z_]+", _text("deploy/grafana/parley.json")))

    assert {name for name in asked if re.sub(r"_(bucket|total)$", "", name) not in counted} == set()

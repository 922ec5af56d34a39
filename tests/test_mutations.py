"""The patches of `make mutations` fit the tree, and only a test that fails is a proof."""

from __future__ import annotations

import ast
import subprocess

import pytest

from bin import mutations
from bin.mutations import ROOT, SERVICES, Mutation, Place
from tests.e2e.conftest import once

pytestmark = once

ALL = mutations.all_mutations()

# Those whose loss nobody would see otherwise: requests to others' addresses, exactly once, faults.
WANTED = {
    *("S1", "S8", "A6", "K2", "W1"),
    *(f"O{number}" for number in range(1, 12)),
    *(f"T{number}" for number in range(1, 9)),
    *(f"F{number}" for number in (*range(1, 20), 21)),
}

each_patch = pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.row)


def test_every_row_that_wants_a_patch_has_one():
    assert WANTED - {mutation.row for mutation in ALL} == set()


@each_patch
def test_a_patch_still_applies_to_the_tree(mutation):
    assert mutation.applies(ROOT) == ""


@each_patch
def test_a_patch_takes_something_away_from_the_product_and_not_from_its_tests(mutation):
    assert mutation.files
    assert not [name for name in mutation.files if name.startswith(("tests/", "bin/", "docs/"))]


@each_patch
def test_a_patch_names_tests_that_there_are(mutation):
    for test in mutation.tests:
        path, *names = test.partition("[")[0].split("::")
        body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        for name in names:
            (found,) = (each for each in body if getattr(each, "name", None) == name)
            body = getattr(found, "body", [])
        assert names[-1].startswith("test_")


@pytest.fixture
def place(tmp_path):
    """A project of one line, a test of it, and one that is red for another reason."""
    tree = tmp_path / "tree"
    tree.mkdir()
    # One of the tests in it is skipped: a skipped test does not miss a defence that is gone.
    files = {
        "product.py": "LIMIT = 5\n",
        "manage.py": "import product\n",
        "test_it.py": (
            "import pytest\n"
            "from product import LIMIT\n\n"
            "def test_limit():\n    assert LIMIT == 5\n\n"
            "@pytest.mark.parametrize('n', [1, 5])\ndef test_more(n):\n    assert n <= LIMIT\n\n"
            "@pytest.mark.skip\ndef test_skipped():\n    pass\n\n"
            "@pytest.fixture\ndef told():\n    assert LIMIT == 5\n\n"
            "def test_told(told):\n    pass\n"
        ),
    }
    for name, text in files.items():
        (tree / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    environ = mutations._environments(0, postgres="postgres://h/p", redis="redis://h/3")  # noqa: SLF001
    # Bytes of the file before must not stand in for it: the two are written within one second.
    environ["nothing"] |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return Place(tree, environ)


@pytest.fixture
def judged(place, tmp_path):
    def judge(change: str, *tests: str, was: str = "LIMIT = 5", seconds: float = 60) -> str:
        path = tmp_path / "O2.patch"
        red = "\n".join(f"Red: test_it.py::{test}" for test in tests)
        path.write_text(
            f"Row: O2\n{red}\nNeeds: nothing\nDefence: A limit.\n\n"
            f"--- a/product.py\n+++ b/product.py\n@@ -1 +1 @@\n-{was}\n+{change}\n",
            encoding="utf-8",
        )
        verdict = mutations.judge(Mutation.read(path), place, seconds=seconds)
        assert (place.tree / "product.py").read_text(encoding="utf-8") == "LIMIT = 5\n"
        assert verdict.is_red == verdict.line.startswith("red: ")
        return verdict.line.partition(" (")[0]

    return judge


def test_a_test_that_fails_without_its_defence_is_the_proof(judged):
    assert judged("LIMIT = 6", "test_limit") == "red: test_it.py::test_limit"


def test_one_of_its_parameters_is_enough(judged):
    assert judged("LIMIT = 4", "test_more") == "red: test_it.py::test_more"


def test_a_test_that_stays_green_tells_that_the_defence_is_not_missed(judged):
    said = judged("LIMIT = 6", "test_limit", "test_more")

    assert said == "SURVIVED: test_it.py::test_more"


def test_a_patch_that_does_not_fit_is_told(judged):
    said = judged("LIMIT = 6", "test_limit", was="LIMIT = 7")

    assert said.startswith("no longer applies: ")


@pytest.mark.parametrize("change", ["LIMIT = (", "LIMIT = nobody", "import nobody"])
def test_a_tree_that_cannot_be_imported_is_no_proof(judged, change):
    assert judged(change, "test_limit").startswith("proves nothing, the tree is broken: ")


def test_what_fails_before_the_test_or_is_skipped_is_no_proof(judged):
    assert judged("LIMIT = 6", "test_told") == "proves nothing: test_it.py::test_told"
    assert judged("LIMIT = 6", "test_skipped").startswith("proves nothing, skipped: ")
    assert judged("LIMIT = 6", "test_gone").startswith("proves nothing:")


def test_a_test_that_takes_too_long_is_no_proof(judged):
    assert judged("LIMIT = 6", "test_limit", seconds=0.01).startswith("proves nothing: took ")


def test_what_is_red_with_its_defence_is_told_first(place, tmp_path):
    path = tmp_path / "O2.patch"
    path.write_text(
        "Row: O2\nRed: test_it.py::test_limit\nNeeds: nothing\nDefence: x\n\n--- a/x\n+++ b/x\n",
        encoding="utf-8",
    )
    mutation = Mutation.read(path)

    assert mutations.red_before([mutation], place) == {}
    (place.tree / "product.py").write_text("LIMIT = 66\n", encoding="utf-8")
    told = {"O2": "proves nothing, red before: test_it.py::test_limit"}
    assert mutations.red_before([mutation], place) == told


@pytest.mark.parametrize(
    "head",
    [
        "Row: O3\nRed: t.py::test_x\nNeeds: nothing\nDefence: x",
        "Row: O2\nRed: t.py::test_x\nNeeds: luck\nDefence: x",
        "Row: O2\nNeeds: nothing\nDefence: x",
        "Row: O2\nRed: t.py::test_x\nNeeds: nothing",
    ],
)
def test_a_head_that_lacks_something_is_refused(tmp_path, head):
    path = tmp_path / "O2.patch"
    path.write_text(f"{head}\n\n--- a/x\n+++ b/x\n", encoding="utf-8")

    with pytest.raises(ValueError, match=r"O2\.patch"):
        Mutation.read(path)


def test_two_at_once_have_databases_and_numbers_of_their_own():
    first, second = (
        mutations._environments(n, postgres="postgres://h:1/p", redis="redis://h:2/3")[SERVICES]  # noqa: SLF001
        for n in (0, 1)
    )

    assert first["DATABASE_URL"] != second["DATABASE_URL"]
    assert (first["REDIS_URL"], second["REDIS_URL"]) == ("redis://h:2/3", "redis://h:2/4")
    assert "DATABASE_URL" not in mutations._environments(0, postgres="p/p", redis="r/3")["nothing"]  # noqa: SLF001

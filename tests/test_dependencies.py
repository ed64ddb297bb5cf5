"""What is declared is what is imported: pyproject.toml, the requirements files and the code agree."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OWN = {"app", "g2pdiff", "tests", "training"}
# Nothing imports these: diffusers loads weights with accelerate and LoRA with peft, the rest are programs and
# plugins of pytest.
UNSEEN = {
    "dependencies": {"accelerate", "peft"},
    "train": set(),
    "test": {"hatchling", "pandas-stubs", "pyright", "pytest-timeout", "pytest-xdist", "ruff"},
}


def declared(group: str) -> dict[str, Requirement]:
    """Return the requirements of the dependencies or of one extra, by canonical name."""
    lines = PROJECT["dependencies"] if group == "dependencies" else EXTRAS[group]
    requirements = {canonicalize_name(row.name): row for row in map(Requirement, lines)}
    return {name: row for name, row in requirements.items() if name != PROJECT["name"]}


def imports_in(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield the top-level name of each absolute import, and whether the code does without it."""
    optional = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.Try) and any("ImportError" in ast.dump(one) for one in block.handlers)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node in optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0], node in optional


def imported_by(folder: str, with_optional: bool = False) -> set[str]:
    """Return the canonical names of the distributions that the files of a folder import.

    Args:
        folder: of the repository.
        with_optional: whether imports count that the code does without.
    """
    names = {
        name
        for path in (ROOT / folder).rglob("*.py")
        for name, is_optional in imports_in(ast.parse(path.read_text(encoding="utf-8")))
        if with_optional or not is_optional
    }
    homes = packages_distributions()
    return {
        canonicalize_name(homes[name][0] if name in homes else name)
        for name in names - OWN - set(sys.stdlib_module_names)
    }


def namespaced(names: set[str]) -> set[str]:
    """Replace the namespace that all XStatic packages share by the one in use."""
    return {"xstatic-leaflet" if name.startswith("xstatic") else name for name in names}


@pytest.mark.parametrize(
    ("folder", "groups"),
    [
        ("g2pdiff", ["dependencies"]),
        ("training", ["dependencies", "train"]),
        ("tests", ["dependencies", "train", "test", "mcp"]),
    ],
)
def test_whatever_is_imported_is_declared(folder, groups):
    known = set().union(*(declared(group) for group in groups))
    if "mcp" in groups:
        known.add("mcp")
    assert namespaced(imported_by(folder)) <= known


@pytest.mark.parametrize(
    ("group", "folder"), [("dependencies", "g2pdiff"), ("train", "training"), ("test", "tests")]
)
def test_whatever_is_declared_is_used(group, folder):
    assert set(declared(group)) - UNSEEN[group] <= namespaced(imported_by(folder, with_optional=True))


def test_an_import_that_the_code_does_without_needs_no_declaration():
    code = "try:\n    import spaces\nexcept ImportError:\n    spaces = None\nimport torch.nn"
    assert dict(imports_in(ast.parse(code))) == {"spaces": True, "torch": False}


@pytest.mark.parametrize(
    ("file", "group"),
    [
        ("requirements.txt", "dependencies"),
        ("training/requirements.txt", "train"),
        ("tests/requirements.txt", "test"),
    ],
)
def test_requirements_files_repeat_or_pin_what_is_declared(file, group):
    lines = (ROOT / file).read_text().splitlines()
    listed = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]
    expected = declared(group)
    assert sorted(canonicalize_name(row.name) for row in listed) == sorted(expected)
    for row in listed:
        specifier = expected[canonicalize_name(row.name)].specifier
        exact = [one.version for one in row.specifier if one.operator == "=="]
        assert specifier.contains(exact[0]) if exact else row.specifier == specifier, row


def test_the_space_of_the_readme_runs_the_pinned_gradio():
    pins = (ROOT / "requirements.txt").read_text().splitlines()
    (version,) = (line.partition("==")[2] for line in pins if line.startswith("gradio=="))
    assert f"\nsdk_version: {version}\n" in (ROOT / "README.md").read_text()

"""The examples in docstrings run, and give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for package in ("g2pdiff", "training")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
API = ("built_in", "checkpoint", "errors", "validation", "dna.barcode", "dna.mutation", "analysis.statistics")


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_give_what_they_say(module):
    result = doctest.testmod(import_module(module))
    assert result.attempted > 0 and result.failed == 0  # pytest shows what doctest printed


def test_the_modules_that_scripts_use_have_examples():
    assert {f"g2pdiff.{name}" for name in API} <= set(WITH_EXAMPLES)

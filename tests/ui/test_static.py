"""The files of `ui/static/`: scripts that parse, and Python without scripts."""

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from g2pdiff.ui import static
from g2pdiff.ui.app import LAUNCH, build
from g2pdiff.ui.widgets.theme import STYLESHEETS

UI = files("g2pdiff.ui")
SCRIPTS = sorted(path.name for path in UI.joinpath("static/js").iterdir())
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="no Node.js is installed")
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_parses(name):
    checked = subprocess.run(
        [NODE, "--check", UI.joinpath(f"static/js/{name}")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_no_script_and_no_stylesheet_is_in_a_python_file():
    for path in UI.rglob("*.py"):
        if path.parent.name != "static":
            source = path.read_text("utf-8")
            assert not re.search(r"=>|addEventListener|querySelector|<style>\s|<script>", source), path.name


def test_every_event_calls_a_function_that_the_page_has(checkpoint, monkeypatch):
    monkeypatch.setenv("G2PDIFF_CHECKPOINT", str(checkpoint))
    returned = re.search(r"return \{([\w, ]+)\};\n\}\)\(\);", LAUNCH["js"]).group(1).split(", ")
    calls = [event.js for event in build().fns.values() if event.js]
    called = {re.match(r"\(\.\.\.values\) => g2pdiff\.(\w+)\(", call).group(1) for call in calls}
    assert called == set(returned)


def test_parameters_of_a_call_are_json():
    assert static.call("takeEnds", {"`${x}`": [1, None]}) == (
        '(...values) => g2pdiff.takeEnds(...[{"`${x}`": [1, null]}], ...values)'
    )


def test_the_page_has_every_stylesheet_but_the_maps():
    written = {path.name.removesuffix(".css") for path in UI.joinpath("static/css").iterdir()}
    assert written == {*STYLESHEETS, "map"}
    assert all(static.text(f"css/{name}.css") in LAUNCH["css"] for name in STYLESHEETS)

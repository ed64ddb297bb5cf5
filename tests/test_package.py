"""What `import g2pdiff` gives, and what it does not import yet."""

import subprocess
import sys

import pytest

import g2pdiff
from g2pdiff.built_in import list_checkpoints


def test_a_barcode_is_read_without_pytorch():
    code = (
        "import sys, g2pdiff; assert 'numpy' not in sys.modules; g2pdiff.Barcode; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there_and_no_other():
    assert {name: getattr(g2pdiff, name).__name__ for name in g2pdiff.__all__} == {
        name: name for name in g2pdiff.__all__
    }
    with pytest.raises(AttributeError, match="no attribute 'Barcodes'"):
        _ = g2pdiff.Barcodes


def test_built_in_checkpoints_are_listed_with_the_photographed_one_first(tmp_path):
    for name in ("butterflies", "checkpoint", "aphids"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").touch()
    (tmp_path / "screenshots").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["butterflies", "aphids", "checkpoint"]
    assert list_checkpoints(tmp_path / "nowhere") == (tmp_path / "nowhere" / "checkpoint",)

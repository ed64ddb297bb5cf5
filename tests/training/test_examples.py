"""Consensus barcodes and localities of the app's examples."""

import pandas as pd
import pytest

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.framing import SITES
from g2pdiff.errors import InputError
from tests.tiny import BARCODE
from training.configs.schema import AssembleConfig, Config, DataConfig
from training.examples import central_locality, consensus, main, make_examples, write_examples


def test_consensus_takes_the_most_frequent_base_and_ignores_n():
    framed = ["A" + "N" * 657, "A" + "C" * 657, "G" + "N" * 657]
    assert consensus(framed) == "A" + "C" * 657
    assert consensus(["N" * SITES]) == "N" * SITES


def test_central_locality_is_a_real_record():
    records = pd.DataFrame({"coord-lat": [0.0, 10.0, 50.0, None], "coord-lon": [0.0, 12.0, 13.0, None]})
    assert central_locality(records) == (10.0, 12.0)


COMMON, RARE = Barcode(BARCODE), Barcode(BARCODE).mutate(0.1, seed=1)


@pytest.fixture(scope="module")
def table():
    common, rare = COMMON, RARE
    rows = [("Musca common", common.mutate(0.02, seed)) for seed in range(11)]
    rows += [("Musca rare", rare.mutate(0.02, seed)) for seed in range(10)]
    rows += [("Musca rarest", rare)] * 9
    return pd.DataFrame(
        {
            "species": name,
            "order": "Diptera",
            "family": "Muscidae",
            "coord-lat": 56.6,
            "coord-lon": 11.3,
            "dna_barcode": barcode.sequence[index % 2 :],
        }
        for index, (name, barcode) in enumerate(rows)
    )


def test_examples_have_one_whole_barcode_for_each_species(table):
    examples = make_examples(table, {"Musca rare": "rare fly", "Musca common": "house fly"})
    columns = ["name", "common_name", "order", "family", "latitude", "longitude", "dna_barcode"]
    assert list(examples) == columns
    assert examples["name"].tolist() == ["Musca rare", "Musca common"]
    assert examples["common_name"].tolist() == ["rare fly", "house fly"]
    assert examples["dna_barcode"].tolist() == [RARE.sequence, COMMON.sequence]


@pytest.mark.parametrize(
    ("species", "said"),
    [("Musca rarest", "Musca rarest has fewer than 10 records"), ("Apis mellifera", "none of the species")],
)
def test_a_species_without_records_is_refused(table, species, said):
    with pytest.raises(InputError, match=said) as refused:
        make_examples(table, {species: "fly"})
    assert refused.value.field == "examples"


def test_a_configuration_lists_the_examples_of_its_checkpoint(table, tmp_path, capsys):
    file = tmp_path / "table.parquet"
    table.to_parquet(file)
    assemble = AssembleConfig(checkpoint=str(tmp_path), examples={"Musca common": "house fly"})
    write_examples(Config(data=DataConfig(table=str(file)), assemble=assemble))
    written = (tmp_path / "examples.csv").read_text()
    assert written.splitlines()[1].startswith("Musca common,house fly,Diptera,Muscidae,56.6,11.3,")
    config = tmp_path / "mine.yaml"
    config.write_text(
        f"assemble: {{checkpoint: {tmp_path}, examples: {{Musca common: house fly, Musca rare: a fly}}}}"
    )
    assert main(["--config", str(config), "--table", str(file)]) == 0
    assert (tmp_path / "examples.csv").read_text().startswith(written)
    assert main(["--config", str(config), "--table", str(config)]) == 2
    assert "lacks the column" in capsys.readouterr().err
    with pytest.raises(InputError, match="barcode table"):
        write_examples(Config(assemble=assemble))

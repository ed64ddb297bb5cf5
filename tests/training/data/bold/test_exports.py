"""BOLD's exports: what is read, what is left out, and which pictures are chosen."""

import pytest

from tests.training.data.bold.exports import fetch, table
from tests.training.data.bold.server import BY_SA, bcdm_row, combined_row, write_tsv
from training import bold as program
from training.data.bold_exports import read_export
from training.data.bold_harvest import choose


def test_records_are_left_out_by_reason_and_counted(records, tmp_path):
    rows = [combined_row(record, number) for number, record in enumerate(records[:12])]
    rows[1]["markercode"] = "28S"
    rows[2]["nucleotides"] = "----"
    rows[3]["species_name"] = " "
    rows[4]["lat"] = ""
    rows[5]["lat"] = "95.5"
    rows[6]["processid"] = "../../etc/passwd"
    rows[7]["processid"] = rows[0]["processid"]
    rows[8]["nucleotides"] = "ACGT" * 160
    path = write_tsv(tmp_path / "e.tsv", rows)
    with path.open("a") as file:
        file.write("<?xml version='1.0'?>\n\n")
    export = read_export(path)
    assert export.left_out == {
        "another marker": 1,
        "no barcode": 1,
        "no species name": 1,
        "no coordinates": 2,
        "no process id": 1,
        "process id came before": 1,
        "barcode is unlike COI": 1,
        "line is broken": 1,
    }
    assert list(export.records) == [f"TEST{number:04}-20" for number in (0, 9, 10, 11)]
    assert export.lines == len(export.records) + sum(export.left_out.values())


@pytest.mark.parametrize("name", ["e.tsv", "e.tsv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_both_exports_give_the_same_records(records, tmp_path, name, encoding):
    old = read_export(
        write_tsv(
            tmp_path / name, [combined_row(r, n, country="Côte") for n, r in enumerate(records)], encoding
        )
    )
    cells = {"country/ocean": "Côte", "phylum": "Arthropoda", "class": "Insecta"}
    rows = [bcdm_row(record, number, **cells) for number, record in enumerate(records)]
    rows[0] |= {"species": "None", "identification": records[0]["species"], "identification_rank": "species"}
    rows[1]["coord"] = rows[1]["coord"].replace("[", "(").replace("]", ")")
    new = read_export(write_tsv(tmp_path / f"new-{name}", rows, encoding))
    assert not new.has_pictures and old.has_pictures and len(new.records) == len(records)
    for a, b in zip(old.records.values(), new.records.values(), strict=True):
        assert a.pop("dna_barcode").replace("-", "N") == b.pop("dna_barcode").replace("-", "N")
        assert a == b and a["country"] == "Côte"


def test_credits_belong_to_their_picture_or_to_none(records, tmp_path):
    many = "http://x/1.jpg|http://x/a b#2.jpg|http://x/3.jpg"
    rows = [
        combined_row(
            records[0],
            0,
            many,
            media_descriptors="Dorsal|Ventral|",
            copyright_licenses=f"{BY_SA}||No Rights Reserved",
            copyright_holders="Ana|Bo",
            photographers="||Cy",
            copyright_years=" ",
        ),
        combined_row(records[1], 1, "http://x/4.jpg|http://x/5.jpg"),
        combined_row(records[2], 2, "|"),
    ]
    pictures = read_export(write_tsv(tmp_path / "e.tsv", rows)).pictures
    assert [(p.address, p.view, p.licence, p.holder, p.photographer) for p in pictures] == [
        ("http://x/1.jpg", "Dorsal", "cc-by-sa", "", ""),
        ("http://x/a b%232.jpg", "Ventral", "missing", "", ""),
        ("http://x/3.jpg", "", "cc0", "", "Cy"),
        ("http://x/4.jpg", "", "missing", "", ""),
        ("http://x/5.jpg", "", "missing", "", ""),
    ]
    assert [picture.credited for picture in pictures] == [False, False, True, False, False]


@pytest.mark.parametrize("header", ["", "processid\tspecies\tnuc\tmarker_code", "a,b\n1,2"])
def test_what_is_no_export_is_refused(tmp_path, header, capsys):
    path = tmp_path / "e.tsv"
    path.write_text(header)
    assert program.main(["--export", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "lacks the column" in capsys.readouterr().err


def test_it_says_what_there_is_before_it_asks_a_server(server, export, capsys):
    rows, path, out = export
    rows[0]["copyright_licenses"] = "CreativeCommons - Attribution Non-Commercial Share-Alike"
    rows[1]["copyright_licenses"] = ""
    rows[2]["copyright_holders"] = ""
    rows[3] |= {"copyright_licenses": "No Rights Reserved", "copyright_holders": ""}
    rows[4]["media_descriptors"] = "Ventral"
    rows[5]["image_urls"] = ""
    rows[6]["markercode"] = "COI-3P"
    assert fetch(rows, path, out, "--dry-run", "--view", "dorsal") == 0
    said = capsys.readouterr().out
    for words in (
        "12; left out: another marker 1",
        "11 of",
        "10 have a picture",
        "cc-by-sa 7, cc-by-nc-sa 1, missing 1, cc0 1",
        "dorsal 9, ventral 1",
        "licence cc-by-nc-sa 1, licence missing 1, nobody to credit 1, another view 1",
        "6 pictures of 6 records",
        "1 of these, free of all rights, name nobody",
        "which training needs: take a larger group",
    ):
        assert words in said
    assert not server.asked and not (out / "specimens.csv").exists()


def test_licences_can_be_narrowed_and_widened(export, tmp_path):
    rows, path, out = export
    rows[0]["copyright_licenses"] = "CC BY"
    rows[1]["copyright_licenses"] = "CC BY-NC"
    assert fetch(rows, path, out, "--licence", "cc-by", "cc-by-nc") == 0
    assert [row["licence"] for row in table(out / "ATTRIBUTION.csv")] == ["cc-by", "cc-by-nc"]
    with pytest.raises(SystemExit):
        fetch(rows, path, tmp_path / "other", "--licence", "cc-by-nd")


def test_choosing_names_every_picture_once(export):
    rows, path, _ = export
    twice = rows[0]["image_urls"]
    rows[0] |= {name: f"{rows[0][name]}|{rows[0][name]}" for name in ("image_urls", "media_descriptors")}
    rows[0] |= {
        name: f"{rows[0][name]}|{rows[0][name]}" for name in ("copyright_holders", "copyright_licenses")
    }
    chosen, left_out = choose(read_export(write_tsv(path, rows)), program.Wanted())
    assert [picture.address for picture in chosen].count(twice) == 1
    assert left_out == {"named twice": 1}

"""BOLD's picture service: exports without addresses or holders are looked up."""

import pytest

from tests.training.data.bold.exports import fetch, table
from tests.training.data.bold.server import BY_SA, bcdm_row, jpeg, send


def serve_list(server, number, **cells):
    name = f"cloud.east.10_200.{number}.jpg"
    server.replies[f"/api/objects/{name}"] = jpeg(number)
    return {
        "processid": f"TEST{number:04}-20",
        "objectid": name,
        "meta": "Dorsal",
        "score": None,
        "copyright_license": BY_SA,
        "copyright_license_holder": "Bo",
        "copyright_license_year": 2015,
        "copyright_license_institution": None,
        "photographer": None,
        **cells,
    }


def test_pictures_of_a_bcdm_export_are_looked_up(server, records, tmp_path):
    rows = [bcdm_row(record, number) for number, record in enumerate(records)]
    server.listed = {
        "TEST0000-20": [serve_list(server, 0)],
        "TEST0002-20": [serve_list(server, 2, copyright_license=None)],
        "TEST0003-20": [serve_list(server, 3), serve_list(server, 99)],  # one of no record
    }
    out = tmp_path / "bold"
    options = ["--service", server.address + "/"]
    assert fetch(rows, tmp_path / "e.tsv", out, *options, "--dry-run") == 0
    assert len(server.asked) == 1 and not (out / "pictures").exists()
    assert fetch(rows, tmp_path / "e.tsv", out, *options) == 0
    credited = table(out / "ATTRIBUTION.csv")
    assert [(row["processid"], row["holder"], row["year"]) for row in credited] == [
        ("TEST0000-20", "Bo", "2015"),
        ("TEST0003-20", "Bo", "2015"),
    ]
    assert all("subunit=1024.jpg" in row["address"] for row in credited)
    assert set(server.asked.values()) == {1}  # the list of the dry run was kept


def test_an_old_export_without_holders_takes_them_from_the_service(server, export):
    rows, path, out = export
    old = [{name: cell for name, cell in row.items() if name != "copyright_holders"} for row in rows]
    server.listed = {row["processid"]: [serve_list(server, number)] for number, row in enumerate(rows[:5])}
    assert fetch(old, path, out, "--look-up", "--service", server.address) == 0
    assert [row["holder"] for row in table(out / "ATTRIBUTION.csv")] == ["Bo"] * 5


@pytest.mark.parametrize("answer", [b"<html>offline</html>", b'{"a": 1}', b'[{"processid": 3}]', b"[1]"])
def test_a_service_that_changed_is_said(server, records, tmp_path, answer, capsys):
    server.answer = lambda handler: send(handler, answer, kind="application/json")
    rows = [bcdm_row(records[0], 0)]
    assert fetch(rows, tmp_path / "e.tsv", tmp_path / "o", "--service", server.address) == 2
    assert "did not answer with a list of pictures" in capsys.readouterr().err

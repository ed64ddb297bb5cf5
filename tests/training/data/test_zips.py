"""Reading of zip archives of pictures, of any size, without the standard library."""

from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.pictures import Archive, members


@settings(max_examples=25, deadline=None)
@given(
    contents=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.binary(max_size=200)
    ),
    deflated=st.booleans(),
    # zipfile itself takes a comment that holds the end record's signature for that record.
    comment=st.binary(max_size=50).filter(lambda comment: b"PK\5\6" not in comment),
)
def test_the_zip_directory_is_read_as_zipfile_reads_it(tmp_path_factory, contents, deflated, comment):
    path = tmp_path_factory.getbasetemp() / "any.zip"
    with ZipFile(path, "w", ZIP_DEFLATED if deflated else ZIP_STORED) as archive:
        archive.comment = comment
        for name, content in contents.items():
            archive.writestr(name, content)
    with ZipFile(path) as archive:
        expected = [
            (i.orig_filename, i.header_offset, i.compress_size, i.compress_type) for i in archive.infolist()
        ]
    assert list(members(path)) == expected


def test_zips_of_more_files_and_bytes_than_the_old_format_counts(tmp_path):
    many = tmp_path / "BIOSCAN_5M_cropped_256_train.zip"
    with ZipFile(many, "w") as archive:
        for number in range(66_000):
            archive.writestr(f"images/cropped_256/val/P{number}.jpg", str(number))
    found = Archive(many, "cropped_256", tmp_path)
    assert len(found.index) == 66_000
    assert found.read("val/P65999.jpg") == b"65999" and found.read("val/P66000.jpg") is None
    many.unlink()
    far = tmp_path / "far.zip"
    with far.open("wb") as file:
        file.seek(5 << 30)  # a hole: nothing lies on the disk
        with ZipFile(file, "w") as archive:
            archive.writestr("bioscan5m/images/cropped_256/train/a/P1.jpg", b"far away")
    assert Archive(far, "cropped_256", tmp_path).read("train/a/P1.jpg") == b"far away"
    far.unlink()

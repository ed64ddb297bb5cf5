"""Pictures as cameras and programs write them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from g2pdiff.errors import InputError
from training.data.pictures import open_square, square, to_rgb


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def mark() -> Image.Image:
    """Return the red above, blue below, white at the right."""
    pixels = np.full((20, 30, 3), 255, np.uint8)
    pixels[:10, :20], pixels[10:, :20] = (255, 0, 0), (0, 0, 255)
    return Image.fromarray(pixels)


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_exifs_orientation_is_obeyed(orientation):
    turned = mark().transpose(TURNS[orientation]) if orientation in TURNS else mark()
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(BytesIO(saved(turned, "PNG", exif=exif))) as picture:
        np.testing.assert_array_equal(np.asarray(to_rgb(picture)), np.asarray(mark()))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "L", "RGB", "1"])
def test_what_is_transparent_is_white_paper(mode):
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    if mode in ("RGBA", "LA", "PA"):
        picture = clear.convert(mode)
        content = saved(picture, "PNG") if mode != "PA" else None
        picture = picture if content is None else Image.open(BytesIO(content))
    elif mode == "P":
        picture = Image.open(BytesIO(saved(Image.new("P", (8, 8), 0), transparency=0)))
    elif mode in ("L", "RGB"):
        ink = 0 if mode == "L" else (0, 0, 0)
        picture = Image.open(BytesIO(saved(Image.new(mode, (8, 8)), transparency=ink)))
    else:
        picture = Image.new("1", (8, 8), 1)
    assert (np.asarray(to_rgb(picture)) == 255).all()


def test_half_transparent_ink_is_mixed_with_the_paper():
    assert np.asarray(to_rgb(Image.new("RGBA", (2, 2), (255, 0, 0, 128))))[0, 0].tolist() == [255, 127, 127]


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.uint16([[0, 65_535], [32_768, 257]]), "PNG"),
        (np.int32([[0, 65_535], [32_768, 257]]), "TIFF"),
        (np.float32([[0, 1], [0.5, 1 / 255]]), "TIFF"),
        (np.float32([[0, 255], [128, 1]]), "TIFF"),
        (np.float32([[np.nan, 1], [0.5, 1 / 255]]), "TIFF"),
    ],
)
def test_greys_of_16_bits_and_floating_point_keep_their_range(pixels, kind):
    with Image.open(BytesIO(saved(Image.fromarray(pixels), kind))) as picture:
        found = np.asarray(to_rgb(picture))
    np.testing.assert_allclose(found[..., 0].astype(int), [[0, 255], [128, 1]], atol=1)
    assert (found[..., 0] == found[..., 2]).all()


def test_cmyk_and_palettes_become_colours():
    for picture in (mark().convert("CMYK"), mark().convert("P"), mark().quantize(8)):
        error = np.abs(np.asarray(to_rgb(picture)).astype(int) - np.asarray(mark()))
        assert error.mean() < 3
    assert square(mark().convert("CMYK"), 8).shape == (3, 8, 8)


def test_decompression_bombs_are_refused_by_name(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    for side in (25, 60):  # a warning for one, an error for the other
        with pytest.raises(InputError, match=r"^The picture x has more than 500 pixels") as refused:
            open_square(saved(Image.new("RGB", (side, side))), 8, "The picture x")
        assert refused.value.field == "pictures"


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", saved(mark())[:60], saved(mark(), "JPEG")[:200], saved(mark(), "TIFF")[:40]],
)
def test_what_is_no_picture_is_refused_by_name(content):
    with pytest.raises(InputError, match="^Picture 7 cannot be decoded"):
        open_square(content, 8, "Picture 7", "photographs")

"""Pictures are padded to squares: proportions, turns and border colours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from training.data.pictures import square


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([8, 16, 33]))
def test_squares_keep_the_whole_animal_in_its_proportions(width, height, size):
    longest = max(width, height)
    pixels = np.full((height, width, 3), 240, np.uint8)
    made = square(Image.fromarray(pixels), size)
    assert made.shape == (3, size, size) and (made == 240).all()  # border colour, no seam
    pixels[:] = 0
    made = square(Image.fromarray(np.pad(pixels, ((1, 1), (1, 1), (0, 0)), constant_values=240)), size)
    assert (240 - made.astype(float)).mean() / 240 == pytest.approx(
        width * height / (longest + 2) ** 2, abs=3 / size
    )


def test_squares_of_squares_change_nothing_and_follow_a_turn():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    assert np.array_equal(square(Image.fromarray(pixels), 24), pixels.transpose(2, 0, 1))
    wide = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    upright = square(Image.fromarray(wide.transpose(1, 0, 2)), 16)
    assert np.array_equal(square(Image.fromarray(wide), 16), upright.transpose(0, 2, 1))


def test_either_side_of_a_square_has_the_colour_of_its_own_edge():
    pixels = np.full((10, 40, 3), 100, np.uint8)
    pixels[0], pixels[-1] = 200, 50
    pixels[0, 3] = 0  # a leg that touches the edge draws no band
    made = square(Image.fromarray(pixels), 40)
    assert (made[:, :15] == 200).all() and (made[:, 25:] == 50).all()

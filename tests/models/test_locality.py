"""Localities and their encoding, and the checks of the other numbers a user gives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.errors import InputError
from g2pdiff.models.locality import EnvironmentEncoder, geodesic
from g2pdiff.validation import check_choice, check_locality, check_rate, check_scale, check_seed, check_steps

properties = settings(deadline=None, max_examples=60)
latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


@given(latitudes, longitudes)
@properties
def test_localities_are_read_from_numbers_and_text(latitude, longitude):
    assert check_locality(latitude, longitude) == (latitude, longitude)
    assert check_locality(f" {latitude!r}", f"{longitude!r}\n") == (latitude, longitude)


@pytest.mark.parametrize("value", [None, "", "  ", "north", "5_6", "nan", float("inf"), 90.001, -91, [1]])
def test_bad_latitudes_are_refused_by_name(value):
    with pytest.raises(InputError, match=r"^Latitude .* number between -90 and 90 degrees.*\.$") as caught:
        check_locality(value, 0)
    assert caught.value.field == "latitude"


@pytest.mark.parametrize("value", [None, "", "x", "360.5", -361])
def test_bad_longitudes_are_refused_by_name(value):
    with pytest.raises(InputError, match=r"^Longitude .* number between -180 and 180 degrees.*\.$") as caught:
        check_locality(0, value)
    assert caught.value.field == "longitude"


def test_geodesic_axes():
    vectors = geodesic(torch.tensor([0.0, 0.0, 90.0, -90.0]), torch.tensor([0.0, 90.0, 12.0, 34.0]))
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]])
    torch.testing.assert_close(vectors, expected)


@given(latitudes, longitudes)
@properties
def test_geodesic_is_a_unit_vector_that_gives_the_place_back(latitude, longitude):
    x, y, z = geodesic(torch.tensor([latitude]), torch.tensor([longitude]))[0].tolist()
    assert math.hypot(x, y, z) == pytest.approx(1, abs=1e-6)
    assert math.degrees(math.atan2(z, math.hypot(x, y))) == pytest.approx(latitude, abs=1e-3)


@given(latitudes, st.floats(0, 0.5))
@properties
def test_geodesic_does_not_jump_at_the_date_line(latitude, step):
    west, east = geodesic(torch.tensor([latitude, latitude]), torch.tensor([180 - step, step - 180]))
    assert torch.dist(west, east) <= 2 * math.radians(step) + 1e-6


def test_longitude_means_nothing_at_the_poles():
    vectors = geodesic(torch.full((5,), 90.0), torch.linspace(-180, 180, 5))
    torch.testing.assert_close(vectors, vectors[:1].expand(5, 3))


def test_encoder_makes_one_token_that_depends_on_the_place():
    torch.manual_seed(0)
    encoder = EnvironmentEncoder(16)
    tokens = encoder(geodesic(torch.tensor([0.0, 60.0]), torch.tensor([0.0, 60.0])))
    assert tokens.shape == (2, 1, 16)
    assert not torch.allclose(tokens[0], tokens[1])
    tokens.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


def test_good_numbers_come_back_typed():
    assert [check_seed(value) for value in (0, "7", 7.0, 2**32 - 1)] == [0, 7, 7, 4294967295]
    assert isinstance(check_seed("7"), int) and isinstance(check_steps(25.0), int)
    assert [check_steps(value) for value in (1, "25", 1000)] == [1, 25, 1000]
    assert [check_rate("mutation_rate", value) for value in (0, "0.5", 1)] == [0, 0.5, 1]
    assert check_scale("guidance_scale", "7.5") == 7.5
    assert check_choice("scheduler", "ddim", ["ddpm", "ddim"]) == "ddim"


@pytest.mark.parametrize(
    ("check", "field", "value"),
    [
        (check_seed, "seed", -1),
        (check_seed, "seed", 2**32),
        (check_seed, "seed", 0.5),
        (check_seed, "seed", None),
        (check_steps, "steps", 0),
        (check_steps, "steps", 1001),
        (check_steps, "steps", "many"),
    ],
)
def test_bad_seeds_and_steps_are_refused(check, field, value):
    with pytest.raises(InputError, match=rf"^{field.capitalize()} .* whole number between ") as caught:
        check(value)
    assert caught.value.field == field


@pytest.mark.parametrize("check", [check_rate, check_scale])
@pytest.mark.parametrize("value", [-0.1, 1001, "", "nan", None, "x" * 10_000])
def test_bad_rates_and_scales_are_refused(check, value):
    with pytest.raises(InputError, match="^Alignment scale ") as caught:
        check("alignment_scale", value)
    assert caught.value.field == "alignment_scale"
    assert len(str(caught.value)) < 120


def test_unknown_schedulers_are_refused_with_the_choices():
    with pytest.raises(InputError, match="choose ddpm or ddim") as caught:
        check_choice("scheduler", "euler", ["ddpm", "ddim"])
    assert caught.value.field == "scheduler"

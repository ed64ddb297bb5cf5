"""Places as people write them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.angles import read_pair
from g2pdiff.coordinates import read_coordinate, read_given, read_locality, spread
from g2pdiff.errors import InputError
from g2pdiff.validation import check_locality

latitudes = st.integers(-900_000, 900_000).map(lambda n: n / 10_000)
longitudes = st.integers(-1_800_000, 1_799_999).map(lambda n: n / 10_000)
SIDES = {"latitude": "NS", "longitude": "EW"}


def as_decimal(value: float, field: str, draw) -> tuple[str, bool]:
    """Return a spelling of decimal degrees, and whether it has a decimal comma."""
    number = f"{abs(value):.4f}"
    comma = draw(st.booleans())
    number = number.replace(".", ",") if comma else number
    degree = draw(st.sampled_from(["", "°", "º", " °", " deg", " degrees"]))
    if draw(st.booleans()):
        letter = SIDES[field][value < 0]
        letter = draw(st.sampled_from([letter, letter.lower()]))
        return draw(
            st.sampled_from([f"{number}{degree}{letter}", f"{number}{degree} {letter}", f"{letter}{number}"])
        ), comma
    sign = (
        draw(st.sampled_from(["-", "\u2212", "\u2013", "- "]))
        if value < 0
        else draw(st.sampled_from(["", "+"]))
    )
    return f"{sign}{number}{degree}", comma


@st.composite
def spelled(draw, field: str):
    value = draw(latitudes if field == "latitude" else longitudes)
    return value, as_decimal(value, field, draw)[0]


@given(spelled("latitude"), spelled("longitude"))
@settings(max_examples=200, deadline=None)
def test_decimal_degrees_in_every_spelling(latitude, longitude):
    found = read_locality(latitude[1], longitude[1])
    assert found.latitude == pytest.approx(latitude[0]) and found.longitude == pytest.approx(longitude[0])
    assert len(found.notes) == ("," in latitude[1]) + ("," in longitude[1])


@given(spelled("latitude"), spelled("longitude"), st.sampled_from([", ", "; ", " ; ", " , "]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_whole_place_in_one_text_fills_both(latitude, longitude, between, is_first):
    text = latitude[1] + between + longitude[1]
    found = read_locality(text, None) if is_first else read_locality("", text)
    assert (found.latitude, found.longitude) == pytest.approx((latitude[0], longitude[0]))
    assert "from one text" in found.notes[0]


@given(st.integers(0, 89), st.integers(0, 59), st.integers(0, 599), st.sampled_from("NS"), st.data())
@settings(max_examples=200, deadline=None)
def test_degrees_minutes_and_seconds(degrees, minutes, tenths, letter, data):
    seconds = f"{tenths / 10:.1f}"
    spelling = data.draw(
        st.sampled_from(
            [
                f"{degrees}°{minutes}'{seconds}\"{letter}",
                f"{degrees}° {minutes}′ {seconds}″ {letter}",
                f"{degrees} {minutes} {seconds} {letter}",
                f"{letter} {degrees}:{minutes}:{seconds}",
                f"{degrees}d{minutes}m{seconds}s{letter}",
                f"{degrees}° {minutes}' {seconds}'' {letter}",
                f"{letter}{degrees}°{minutes}’{seconds}”",
                f"{'-' if letter == 'S' else ''}{degrees}°{minutes}'{seconds}\"",
            ]
        )
    )
    wanted = (1 if letter == "N" else -1) * (degrees + minutes / 60 + tenths / 36_000)
    assert read_locality(spelling, 0).latitude == pytest.approx(wanted)


@pytest.mark.parametrize(
    "text",
    [
        "geo:56.6,11.3",
        "geo:56.6,11.3;crs=wgs84;u=35",
        "GEO:56.6,11.3?z=11",
        "POINT(11.3 56.6)",
        "SRID=4326;POINT (11.3 56.6)",
        "https://www.google.com/maps/@56.6,11.3,12z",
        "https://www.google.com/maps/place/X/@1,2,12z/data=!3m1!4b1!4m5!3m4!1s0x0:0x0!8m2!3d56.6!4d11.3",
        "https://maps.google.com/?q=56.6,11.3",
        "https://www.google.com/maps/search/?api=1&query=56.6%2C11.3",
        "https://www.openstreetmap.org/#map=12/56.6/11.3",
        "https://www.openstreetmap.org/?mlat=56.6&mlon=11.3#map=12/1/2",
        "https://www.bing.com/maps?cp=56.6~11.3&lvl=11",
        "https://maps.apple.com/?ll=56.6,11.3",
        "56.6,11.3",
        "(56.6, 11.3)",
        "[56.6, 11.3]",
        "lat=56.6 lon=11.3",
        "Latitude: 56.6, Longitude: 11.3",
        "11.3 E, 56.6 N",
        "N56.6 E11.3",
        "56°36'N 11°18'E",
        "56.6 N 11.3 E",
        "56,6 11,3",
        "56.6\t11.3",
        "56.6 11.3",
        "+56.6+011.3/",
        "56.6, 11.3 (WGS84)",
        "WGS 84: 56.6 11.3",
        '"56.6, 11.3"',
        '{"type": "Point", "coordinates": [11.3, 56.6]}',
        "+56.6+011.3+012CRSWGS_84/",
        "POINT Z (11.3 56.6 10)",
        '{"lat": 56.6, "lng": 11.3}',
        '{"latitude":56.6,"longitude":11.3}',
        "N 56° 36.000' E 011° 18.000'",
        "56°36'00.0\"N+11°18'00.0\"E",
        "56:36:00N 11:18:00E",
        "５６．６, １１．３",
        "56.6\u200e, 11.3",
        "https://maps.google.com/maps?q=56.6+11.3",
        "https://www.google.com/maps/dir//56.6,11.3",
        "https://earth.google.com/web/@56.6,11.3,100a",
        "https://www.inaturalist.org/observations?lat=56.6&lng=11.3",
        "https://yandex.com/maps/?ll=11.3%2C56.6&z=12",
    ],
)
def test_links_and_pairs(text):
    found = read_locality(text, None)
    assert (found.latitude, found.longitude) == pytest.approx((56.6, 11.3))


@pytest.mark.parametrize(
    ("latitude", "longitude", "field", "words"),
    [
        ("", "1", "latitude", "is missing"),
        ("1", None, "longitude", "is missing"),
        ("91", "95", "latitude", "between -90 and 90"),
        ("120", "10", "latitude", "swapped? Then it is latitude 10, longitude 120"),
        (-120.5, 45, "latitude", "swapped"),
        ("20 E", "10 N", "latitude", "swapped"),
        ("10", "361", "longitude", "between -180 and 180"),
        ("-33 S", "1", "latitude", "a minus and a hemisphere letter"),
        ("1", "10 O", "longitude", "letter O"),
        ("5 6", "1", "latitude", "degrees and minutes or two numbers"),
        ("33°64'S", "1", "latitude", "is not an angle"),
        ("56.6, 11.3", "12", "latitude", "holds both coordinates"),
        ("https://example.org/maps", "1", "latitude", "link without coordinates"),
        ("1_0", "1", "latitude", "must be a number"),
        ("nan", "1", "latitude", "must be a number"),
        (math.inf, 1, "latitude", "must be a number"),
        (True, 1, "latitude", "must be a number"),
        ({}, 1, "latitude", "must be a number"),
        ("1,000", None, "longitude", "is missing"),
        ("56.6, 11.3, 12 m", None, "latitude", "more than two numbers"),
        ("56.6,11.3,12", None, "latitude", "more than two numbers"),
        ("56,6°N 11,3°O", None, "latitude", "letter O"),
        ("1e400", "1", "latitude", "must be a number"),
        ("0x10, 5", None, "latitude", "must be a number"),
        ("9F46WX2C+2V", None, "latitude", "code of a grid"),
        ("CFW8+QJ Copenhagen", None, "latitude", "code of a grid"),
        ("33U 12345 654321", None, "latitude", "code of a grid"),
        ("33T VN 12345 67890", None, "latitude", "code of a grid"),
        ("///filled.count.soap", None, "latitude", "code of a grid"),
        ("https://maps.app.goo.gl/xyz", None, "latitude", "link without coordinates"),
    ],
)
def test_what_is_no_place_is_refused_with_the_mend(latitude, longitude, field, words):
    with pytest.raises(InputError, match=".") as refused:
        read_locality(latitude, longitude)
    assert refused.value.field == field and words in str(refused.value)
    assert str(refused.value).endswith((".", "?")) and "\n" not in str(refused.value)


@given(st.floats(-360, 360))
def test_longitudes_wrap_and_it_is_said(longitude):
    found = read_locality(0, longitude)
    assert -180 <= found.longitude <= 180
    assert math.isclose(math.cos(math.radians(longitude - found.longitude)), 1, abs_tol=1e-9)
    assert bool(found.notes) == (abs(longitude) > 180)


@pytest.mark.parametrize("number", [np.float32(12.5), np.int64(12), 12, 12.0, "12"])
def test_numbers_of_any_kind(number):
    assert check_locality(number, number) == (float(number), float(number))


@given(st.text() | st.text(st.sampled_from("0123456789.,-+°'\"NSEWO ;:/=latongeh()\u2212"), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text):
    read_pair(text)
    for place in ((text, 1), (1, text), (text, None), (text, text)):
        try:
            found = read_locality(*place)
        except InputError as error:
            assert error.field in ("latitude", "longitude") and len(str(error).splitlines()) == 1
        else:
            assert -90 <= found.latitude <= 90 and -180 <= found.longitude <= 180


def test_long_texts_are_refused_in_no_time():
    for text in ("1" * 100_000, "N1 " * 40_000, "https://x.org/?q=" + "1," * 50_000):
        with pytest.raises(InputError):
            read_locality(text, None)


def test_a_whole_place_in_one_field_fills_both():
    assert spread("56.6, 11.3", "18.4") == spread("3", "geo:56.6,11.3") == ("56.6", "11.3")
    assert spread("33,9 S", "18,4") == ("33,9 S", "18,4")
    assert spread("10,20", "") == ("10", "20") and spread("10,20", "3") == ("10,20", "3")
    assert spread("1.5, 2", "3.5, 4") == ("1.5, 2", "3.5, 4") and spread(None, 3) == (None, 3)


def test_half_a_place_is_read_and_names_its_field():
    assert read_given("33.9 S", None) == (-33.9, None, ())
    assert read_given(None, 200)[:2] == (None, -160)
    assert read_coordinate("other_longitude", "56.6, 11.3") == 11.3
    for value, sentence in ((None, "Other latitude is missing"), ("95", "Other latitude must be")):
        with pytest.raises(InputError, match=sentence) as refused:
            read_coordinate("other_latitude", value)
        assert refused.value.field == "other_latitude"

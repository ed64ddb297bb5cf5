"""Places in FASTA headers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.dna.headers import read_header

latitudes = st.integers(-900, 900).map(lambda n: n / 10)
longitudes = st.integers(-1799, 1800).map(lambda n: n / 10)
names = st.sampled_from(["moth 1", "ABCD123-10", "Vanessa cardui", "GU013601.1 Aus bus isolate 7"])
KEYS = ("lat", "Lat", "LATITUDE", "latitude", "decimalLatitude", "decimal_latitude", "coord-lat")


@given(names, latitudes, longitudes, st.sampled_from(KEYS), st.data())
@settings(max_examples=200, deadline=None)
def test_every_spelling_of_the_keys_and_brackets(name, latitude, longitude, key, data):
    other = key.replace("latitude", "longitude").replace("Latitude", "Longitude").replace("LATITUDE", "LONG")
    other = (
        other.replace("lat", "lon").replace("Lat", "Lon")
        if "ong" not in other and "ONG" not in other
        else other
    )
    equals = data.draw(st.sampled_from(["=", ": ", " = ", ":"]))
    north, east = f"{key}{equals}{latitude}", f"{other}{equals}{longitude}"
    form = data.draw(
        st.sampled_from(
            ["{n} {a} {b}", "{n} {b} {a}", "{n} [{a}] [{b}]", "{n} ({a}, {b})", "{n}|{a}|{b}|", "{a};{b} {n}"]
        )
    )
    found = read_header(form.format(n=name, a=north, b=east))
    assert found.warning == "" and found.name == name
    assert (found.locality.latitude, found.locality.longitude) == (latitude, longitude)


@pytest.mark.parametrize(
    ("header", "name", "place"),
    [
        ("x [lat_lon=10 N 20 E]", "x", (10, 20)),
        ("x [sex=male] [lat-lon=10.5 S 20.25 W] [host=Acer]", "x [sex=male] [host=Acer]", (-10.5, -20.25)),
        ("x lat_lon: 10 20", "x", (10, 20)),
        ("x coord=(10.5, 20.5)", "x", (10.5, 20.5)),
        ("x geo:10,20 y", "x y", (10, 20)),
        ("x lat 10 lon 20", "x", (10, 20)),
        ("a lat=10 N lon=20 W Denmark", "a Denmark", (10, -20)),
        ("a Lat:33°54'S Lon:18°24'E", "a", (-33.9, 18.4)),
        ("a lat=\u221210 lon=20", "a", (-10, 20)),
        ("a lat=10,5;lon=20,5", "a", (10.5, 20.5)),
        ("ABCD123-10|Vanessa cardui|COI-5P|56.62|11.31", "ABCD123-10|Vanessa cardui|COI-5P", (56.62, 11.31)),
        ("ABCD123-10|Aus bus|56.62 N, 11.31 E|COI-5P", "ABCD123-10|Aus bus|COI-5P", (56.62, 11.31)),
        ("moth 10.5 N 20.25 E", "moth", (10.5, 20.25)),
        ("a lat=10 lon=200", "a", (10, -160)),
        ("a lat=10 lat=10 lon=20", "a", (10, 20)),
        ('a /lat_lon="10.50 S 20.25 W"', "a", (-10.5, -20.25)),
        ('a {"lat": 10, "lon": 20}', "a", (10, 20)),
        ("a 'lat'=10 'lon'=20", "a", (10, 20)),
    ],
)  # fmt: skip
def test_the_fields_own_spellings(header, name, place):
    found = read_header(header)
    assert (found.name, found.warning) == (name, "")
    assert (found.locality.latitude, found.locality.longitude) == pytest.approx(place)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("a lat=10", "only one of lat and lon"),
        ("a lat=10 lon=20 lat=30", "more than one latitude"),
        ("a lat=1_0 lon=2_0", "must be a number"),
        ("a lat= lon=2", "is missing"),
        ("a lat=nan lon=2", "must be a number"),
        ("a lat=120 lon=10", "swapped"),
        ("a latitude: unknown longitude: unknown", "must be a number"),
        ("a [lat_lon=10 Q 20 Z]", "no latitude and longitude"),
        ("a lat=10 lon=20 E W", ""),
        ("a|91.5|20.5", "between -90 and 90"),
        ("a (56.6, 11.3)", 'may name a place, "(56.6, 11.3)"'),
        ("a @56.6,11.3", "may name a place"),
        ("a N10.5 E20.5", "may name a place"),
        ("a_10.5N_20.5E", "may name a place"),
        ("a_lat_10.5_lon_20.5", 'may name a place, "lat_10.5_lon_20.5"'),
        ("a latitud=10 longitud=20", "may name a place"),
        ("a Breitengrad 10 Längengrad 20", "may name a place"),
    ],
)
def test_what_looks_like_a_place_and_is_none_is_told(header, words):
    found = read_header(header)
    assert words in found.warning and (found.locality is None) == bool(words)


@pytest.mark.parametrize(
    "header",
    [
        "moth",
        "",
        "flat=1",
        "along: the road",
        "location: Denmark",
        "isolate N12 E34",
        "Lata sp. 3",
        "x|12.5|y|13.5",
    ],
)
def test_what_is_no_place_is_left_alone(header):
    assert read_header(header) == read_header(f" {header} ")
    found = read_header(header)
    assert (found.name, found.locality, found.warning) == (header, None, "")


@given(st.text() | st.text(st.sampled_from("lat=lon: []|;,()0123456789.NSEW-_°")))
@settings(max_examples=300, deadline=None)
def test_any_header_is_read(header):
    found = read_header(header)
    assert found.locality is None or found.warning == ""
    if found.locality:
        assert abs(found.locality.latitude) <= 90 and abs(found.locality.longitude) <= 180

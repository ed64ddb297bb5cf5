"""Licences are known in all their spellings, and none that restricts counts as open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.data.bold.server import BY_SA
from training.data.licences import canonical

SPELLINGS = {
    "cc0": [
        "No Rights Reserved",
        "no right's reserved (nrr)",
        "CC0",
        "CC-0 1.0",
        "Public Domain",
        "CCO",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    ],
    "cc-by": [
        "CreativeCommons - Attribution",
        "CreativeCommons Attribution",
        "CC BY",
        "CC-BY 4.0",
        "ccby",
        "CreativeCommons – Attribution (by)",
        "Creative Commons Attribution 2.0 Generic",
        "creativecommons (by)",
        "CreativeCommons - Attribution by Jane Doe",
        "https://creativecommons.org/licenses/by/4.0/",
        "Creative Commons Attribution License (CC BY)",
        "CreativeCommons �� Attribution",
    ],
    "cc-by-sa": [
        BY_SA,
        "CreativeCommons Attribution ShareAlike",
        "CC BY-SA",
        "ccbysa",
        "CC BY SA 4.0",
        "http://creativecommons.org/licenses/by-sa/3.0/deed.en",
    ],
    "cc-by-nc": [
        "CreativeCommons - Attribution Non-Commercial",
        "CC-BY-NC",
        "CreativeCommons (by-nc)",
        "CreativeCommons Attribution NonCommercial bync",
        "CreativeCommons -Atribution Non-Commercial",
    ],
    "cc-by-nc-sa": [
        "CreativeCommons - Attribution Non-Commercial Share-Alike",
        "Creative Commons-by-nc-sa",
        "CreativeCommons-Attribution Non-Commervial Share-Alike",
        "creative commoms-by-nc-sa",
        "CC by nc sa",
        "CreativeCommons-Atribution Non-Commercial Share -Alike",
        "Creative Commons CC BY-NC-SA 4.0",
    ],
    "cc-by-nd": ["CreativeCommons - Attribution No Derivatives", "CC BY-ND 4.0"],
    "cc-by-nc-nd": ["CreativeCommons - Attribution Non-Commercial No Derivatives", "cc by-nc-nd"],
    "all rights reserved": ["All Rights Reserved", "Copyright, all rights reserved"],
    "missing": ["", " "],
    "unclear": [
        "CreativeCommons",
        "Copyright by Jane Doe",
        "CreativeCommons by Jane Doe",
        "free",
        "by",
        "?",
        "Attribution",
        "CC0 non-commercial",
        "public domain, share alike",
        "Creative Commons ShareAlike",
    ],
}


@pytest.mark.parametrize(("name", "text"), [(n, text) for n, texts in SPELLINGS.items() for text in texts])
def test_licences_are_known_in_their_spellings(name, text):
    assert canonical(text) == canonical(text.upper()) == canonical(f" {text.lower()}\n") == name


@given(
    st.sampled_from(["CreativeCommons - Attribution", "CC BY", "CC0", "No Rights Reserved", BY_SA]),
    st.sampled_from(["Non-Commercial", "NC", "noncommercial use only", "No Derivatives", "ND", "no-derivs"]),
    st.booleans(),
    st.text(" -,()/", max_size=3),
)
def test_no_text_that_restricts_counts_as_open(licence, restriction, first, between):
    words = (restriction, licence) if first else (licence, restriction)
    assert canonical(f" {between} ".join(words)) not in ("cc0", "cc-by", "cc-by-sa")

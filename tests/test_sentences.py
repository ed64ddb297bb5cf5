"""The sentences that users see: all are listed, and those of errors are whole."""

import re

from tests.benchmarks.sentences import list_sentences, main, script_sentences, sentences_of

SOURCE = '''
"""A docstring is not shown."""
LABEL = "Point edits"
NAMES = ["latitude", "#map iframe", "font-size: 12px"]


def check(field, value):
    """Neither is this one."""
    raise InputError(field, f"Site {value + 1} is unknown: " "edit another site.")
'''


def test_texts_are_found_with_their_values_and_fields_and_docstrings_are_not():
    assert [(found.line, found.field, found.text) for found in sentences_of(SOURCE)] == [
        (3, "", "Point edits"),
        (9, "field", "Site {value + 1} is unknown: edit another site."),
    ]


def test_texts_of_a_script_are_found_and_its_comments_are_not():
    source = '// a comment "in quotes"\nbutton.textContent = "Copy the link"; box.className = "link-box";\n'
    assert [(found.line, found.text) for found in script_sentences(source)] == [(2, "Copy the link")]


def test_the_errors_of_the_app_end_as_sentences_do_and_stand_in_one_list(capsys):
    errors = [
        (path.name, sentence)
        for path, found in list_sentences()
        for sentence in found
        if sentence.field and " " in sentence.text
    ]
    assert len(errors) > 80
    for name, error in errors:
        fragment = error.text[0] in ":;" or error.text[0].islower()
        assert fragment or re.search(r"[.?}]$", error.text), (name, error)
        assert "  " not in error.text, (name, error)
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert (
        "g2pdiff/coordinates.py" in listed
        and "[edits] Site {site} is unknown (N): edit a known site." in listed
    )
    assert "g2pdiff/ui/form.py" in listed and "g2pdiff/ui/static/lesson/" in listed

"""The Learn tab: five activities for a first-year student, each with links that open the other tabs.

An activity is a Markdown file in `ui/static/lesson/`. Its front matter, in TOML between two lines of `+++`,
has the title and the visits; its text is the introduction, then the sections Steps, Question and Answer.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from html import escape
from urllib.parse import urlencode

from markdown_it import MarkdownIt

from g2pdiff.ui import static
from g2pdiff.ui.widgets.examples import examples

ORDER = (
    "1-read-a-barcode",
    "2-watch-noise-become-an-animal",
    "3-break-a-gene",
    "4-walk-to-the-pole",
    "5-be-sceptical",
)

MARKDOWN = MarkdownIt("commonmark", {"html": False})


@dataclass(frozen=True)
class Visit:
    """A link that opens a tab with a view's values.

    Attributes:
        label: what the link says.
        tab: name of the tab.
        values: by their names in a link.
    """

    label: str
    tab: str
    values: dict[str, object]

    @classmethod
    def of_species(
        cls, label: str, tab: str, species: str, backwards: bool = False, values: dict | None = None
    ) -> Visit:
        """Return a visit as the front matter describes it.

        Args:
            label: what the link says.
            tab: name of the tab.
            species: the example whose barcode fills the form.
            backwards: whether the barcode is written from its end to its start.
            values: further values, by their names in a link.
        """
        barcode = examples()[species].dna_barcode
        return cls(label, tab, {"barcode": barcode[::-1] if backwards else barcode, **(values or {})})

    @property
    def query(self) -> str:
        """The link's query string."""
        return urlencode({"tab": self.tab} | self.values)


@dataclass(frozen=True)
class Activity:
    """One activity; its texts are HTML."""

    title: str
    visits: tuple[Visit, ...]
    introduction: str
    steps: str
    question: str
    answer: str

    @classmethod
    def read(cls, source: str) -> Activity:
        """Return the activity of a Markdown file's text."""
        _, front, body = source.split("+++\n", 2)
        known = tomllib.loads(front)
        introduction, *sections = body.split("\n## ")
        texts = {"introduction": introduction}
        for section in sections:
            heading, text = section.split("\n", 1)
            texts[heading.lower()] = text
        visits = tuple(Visit.of_species(**visit) for visit in known["visits"])
        return cls(known["title"], visits, **{name: MARKDOWN.render(text) for name, text in texts.items()})


@cache
def activities() -> tuple[Activity, ...]:
    """Return the activities, in the order of the page."""
    return tuple(Activity.read(static.text(f"lesson/{name}.md")) for name in ORDER)


def lesson() -> str:
    """Return the whole tab as HTML."""
    cards = (card(number, activity) for number, activity in enumerate(activities(), start=1))
    return MARKDOWN.render(static.text("lesson/opening.md")) + "".join(cards)


def card(number: int, activity: Activity) -> str:
    """Return one activity as HTML."""
    links = "".join(
        f'<a class="visit" href="?{escape(visit.query)}" target="_blank" rel="noopener">'
        f"{escape(visit.label)}</a>"
        for visit in activity.visits
    )
    return (
        f'<article class="activity"><h3><span>{number}</span>{escape(activity.title)}</h3>'
        f'{activity.introduction}<p class="visits">{links}</p>{activity.steps}'
        f'<div class="question"><h4>Question</h4>{activity.question}'
        f"<details><summary>Answer</summary>{activity.answer}</details></div></article>"
    )

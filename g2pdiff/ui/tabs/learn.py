"""The Learn tab: five activities for a first-year student, each with links that open the other tabs."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from g2pdiff.ui.widgets.examples import examples

BUTTERFLY = examples()["Vanessa cardui"]
LADYBIRD = examples()["Coccinella septempunctata"]
BACKWARDS = BUTTERFLY.dna_barcode[::-1]

OPENING = """
<h2>Five things to try</h2>
<p>Each takes about ten minutes. The buttons open the app in a new browser tab with everything filled in, so
that this page stays where it is. Answer the question before you open the answer: the app itself can tell you
whether you are right.</p>
"""


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

    @property
    def query(self) -> str:
        return urlencode({"tab": self.tab} | self.values)


@dataclass(frozen=True)
class Activity:
    """One activity; its texts are HTML."""

    title: str
    introduction: str
    visits: tuple[Visit, ...]
    steps: tuple[str, ...]
    question: str
    answer: str


ACTIVITIES = (
    Activity(
        title="Read a barcode",
        introduction="""Nearly every animal has the COI gene, a part of what turns food and oxygen into energy
        in its cells. A stretch of 658 letters of it differs a little from species to species, so it serves as
        a <b>DNA barcode</b>. The letters A, C, G and T are the <b>bases</b> of DNA; three of them make a
        <b>codon</b>, and each codon stands for one <b>amino acid</b>, a link in the chain of a protein.""",
        visits=(Visit("Open the painted lady's barcode", "explore", {"barcode": BUTTERFLY.dna_barcode}),),
        steps=(
            "Look at the stripes under the barcode box: one stripe for every base, one colour for each kind.",
            "Under them stand the first codons, and above each of them its amino acid in one letter. Write "
            "down the first eight: <code>ACA</code> is T (threonine), and so on.",
            "Choose <em>Drosophila melanogaster</em>, the fruit fly, under <b>Example species</b>, and write "
            "down its first eight.",
        ),
        question="Which of the eight codons are spelled differently in butterfly and fly? And which is the "
        "first to mean another amino acid?",
        answer="""Codons 1, 6 and 8 are spelled differently. Codon 1 is <code>ACA</code> in the butterfly and
        <code>ACT</code> in the fly, yet both mean T (threonine). Codon 6 is <code>TTC</code> and
        <code>TTT</code>, both F (phenylalanine). Codon 8 is the first to mean something else:
        <code>ATT</code>, I (isoleucine), in the butterfly and <code>GCT</code>, A (alanine), in the fly.
        Most amino acids have several codons, so DNA can differ where the protein does not.""",
    ),
    Activity(
        title="Watch noise become an animal",
        introduction="""The model does not look anything up in a drawer of pictures. It starts from pure
        <b>noise</b>, like a television without a signal, and removes a little of it at every step; barcode
        and place tell it in which direction to go. This way of drawing is called <b>diffusion</b>.""",
        visits=(
            Visit(
                "Open the seven-spot ladybird",
                "explore",
                {
                    "barcode": LADYBIRD.dna_barcode,
                    "latitude": LADYBIRD.latitude,
                    "longitude": LADYBIRD.longitude,
                    "seed": 1,
                },
            ),
        ),
        steps=(
            "Press <b>Run</b>. At which step can you first tell that there is an animal?",
            "Watch the curve of the <b>CLIBDScore</b>. It says how well picture and barcode agree in the "
            "eyes of a second model: 1 is the most, and about 0 is what chance gives.",
            "Write down the last score and run again. Then open <b>Advanced</b>, change the <b>seed</b> (the "
            "number that the noise is made from) to 2, and run once more.",
        ),
        question="What is the same in all three pictures, and what in the first two alone?",
        answer="""The first two are one and the same picture: compare their scores to the last digit. The seed
        fixes the noise, and from the same noise, barcode and place always comes the same picture. Seed 2 is
        another noise, so what differs in the third picture came from the noise. What all three share, the
        barcode and the place can have caused. To make sure, keep the seed and choose another species: what
        changes now comes from the barcode.""",
    ),
    Activity(
        title="Break a gene",
        introduction="""A <b>mutation</b> changes a base. If the new codon means the same amino acid, the
        mutation is <b>synonymous</b> and the protein stays as it was; if it means another one, it is
        <b>non-synonymous</b>. Worst is a new <b>stop codon</b>, written *: the protein ends there, too short
        to work. The link opens with one mutation typed in: <code>A4G</code> turns the A at site 4 into a
        G.""",
        visits=(
            Visit(
                "Open the painted lady with A4G",
                "mutations",
                {"barcode": BUTTERFLY.dna_barcode, "edits": "A4G", "rates": "5 15 30", "replicates": 2},
            ),
        ),
        steps=(
            "Look at codon 1, and at the line under the mutation rate: how many bases and how many amino "
            "acids have changed?",
            "Open <b>Kind of mutation</b> and replace <code>A4G</code> under <b>Point edits</b> by "
            "<code>T10A</code>. Look at codon 3.",
            "Empty the point edits, choose <b>synonymous only</b> and press <b>Run</b>. Run again with "
            "<b>non-synonymous only</b>, and compare the two curves of appearance drift, which is how far "
            "the pictures have moved away from the first one.",
        ),
        question="Which of the two edits breaks the gene, and how does the app show it? Does the picture "
        "stay the same when the protein does?",
        answer="""<code>T10A</code> breaks it: codon 3, <code>TAT</code> for Y (tyrosine), becomes
        <code>TAA</code>, a stop codon. The app counts 1 new stop codon and marks the codon in red.
        <code>A4G</code> turns codon 1 from <code>ACA</code> into <code>ACG</code>: 1 base and 0 amino acids
        have changed, for both mean T (threonine). Whether the picture stays, the drift after synonymous
        mutations tells you. It need not: the model reads the letters of the barcode and knows nothing of
        proteins, and a broken gene is to it a barcode like any other.""",
    ),
    Activity(
        title="Walk to the pole",
        introduction="""<b>Bergmann's rule</b> of 1847 says that warm-blooded animals in colder places tend to
        be larger than their relatives in warmer ones. Into the simulated insects from which the built-in
        model learned it was planted on purpose: their bodies grow by 5 % for every 10 degrees away from the
        equator. Has the model noticed?""",
        visits=(
            Visit("Walk from pole to pole", "latitude", {"barcode": BUTTERFLY.dna_barcode}),
            Visit(
                "Walk round the world",
                "latitude",
                {"barcode": BUTTERFLY.dna_barcode, "along": "longitude", "start": -160, "end": 160},
            ),
        ),
        steps=(
            "Open the first link and press <b>Run</b>: the same animal, from 80° south to 80° north. Compare "
            "both ends of the film with its middle.",
            "Read the measured slope with its <b>95 % interval</b>, the range in which the true slope most "
            "likely lies. In the chart the planted slope is dashed.",
            "Run the second link. From west to east nothing should change: such a walk is called a <b>null "
            "control</b>.",
        ),
        question="Does the interval along latitude hold 0? Does the one along longitude? And why was the "
        "second walk worth the time?",
        answer="""Both intervals stand in the sentence above the chart. One without 0 says that bodies change
        along the way; one with 0 says that it may be chance. From west to east nothing was planted, so any
        slope there is an error of the model or of the measuring: believe the slope along latitude only if it
        is much larger. And keep in mind what was measured: pictures that a model drew. Of real insects some
        follow Bergmann's rule, others do the very opposite.""",
    ),
    Activity(
        title="Be sceptical",
        introduction="""The model draws an animal for whatever you give it, and the picture always looks sure
        of itself. So ask of every picture how you would notice if it were wrong. The first link below writes
        a barcode backwards; the second draws pictures with and without <b>alignment</b>, an extra push
        towards the barcode at every step.""",
        visits=(
            Visit("Open a barcode written backwards", "explore", {"barcode": BACKWARDS}),
            Visit(
                "Compare with and without alignment",
                "compare",
                {"barcode": BUTTERFLY.dna_barcode, "change": "alignment"},
            ),
        ),
        steps=(
            "Open the first link, read what stands under the barcode box, and press <b>Run</b> all the same.",
            "Run with three other seeds (under <b>Advanced</b>) and write down the scores. How far do they "
            "lie apart, though nothing but the noise has changed?",
            "Run the second link. Each pair of pictures starts from one noise. Does the interval of the "
            "difference between the scores hold 0?",
        ),
        question="The backwards barcode has exactly the letters of the real one. What are the two signs in "
        "the app that it is none? And what can a high CLIBDScore not tell you?",
        answer="""First, the warning: the sequence is unlike insect COI, with a match of 0.03 where real
        barcodes have 0.6 and more. Second, the 18 stop codons; a working gene has none here. The model took
        no notice and drew an animal. A high score says that picture and barcode agree in the eyes of another
        model, which learned from the same pictures. It cannot say that the real animal looks like this: the
        colours and patterns of the simulated specimens are invented. And one picture is an anecdote. Run
        several seeds, and compare the differences between scores with how far the seeds alone lie apart.""",
    ),
)


def lesson() -> str:
    """The whole tab as HTML."""
    cards = (card(number, activity) for number, activity in enumerate(ACTIVITIES, start=1))
    return OPENING + "".join(cards)


def card(number: int, activity: Activity) -> str:
    """One activity as HTML."""
    links = "".join(
        f'<a class="visit" href="?{escape(visit.query)}" target="_blank" rel="noopener">{visit.label}</a>'
        for visit in activity.visits
    )
    steps = "".join(f"<li>{step}</li>" for step in activity.steps)
    return (
        f'<article class="activity"><h3><span>{number}</span>{activity.title}</h3>'
        f'<p>{activity.introduction}</p><p class="visits">{links}</p><ol>{steps}</ol>'
        f'<div class="question"><p><b>Question.</b> {activity.question}</p>'
        f"<details><summary>Answer</summary><p>{activity.answer}</p></details></div></article>"
    )

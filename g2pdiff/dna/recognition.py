"""What a sequence is where it is not the COI barcode of an insect: other animals, other genes, longer pieces.

A framed barcode is translated with the genetic code of each group of animals and compared with the group's
consensus protein. Amino acids of COI change so slowly that the nearest of a dozen lines names the group.
Other markers of barcoding are known by stretches that hardly change, and so is what lies behind the region.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from Bio.Seq import reverse_complement, translate

from g2pdiff.dna.framing import CODON_START

VERTEBRATE, MOULD, INVERTEBRATE, ECHINODERM = 2, 4, 5, 9  # NCBI's numbers of mitochondrial codes
CODES = {
    VERTEBRATE: "vertebrate mitochondrial",
    MOULD: "mold, protozoan and coelenterate mitochondrial",
    INVERTEBRATE: "invertebrate mitochondrial",
    ECHINODERM: "echinoderm and flatworm mitochondrial",
}

FEWEST_CODONS = 60
"""Known codons under which no group is named."""

LEAD = 0.01
"""Share of amino acids by which another group must be nearer than every order of insects. Of 6,289 different
insect barcodes none has a lead at all."""

LEAST_IDENTITY = 0.72
"""Share of amino acids that a group's consensus has in common with nearly all of its members."""

_INSECTS = (
    # Lepidoptera, Diptera, Coleoptera, Hymenoptera: the commonest amino acid of each codon in the real table
    "TLYFIFGIWAGMVGTSLSLLIRTELGNPGSLIGDDQIYNTIVTAHAFIMIFFMVMPIMIGGFGNWLVPLMLGAPDMAFPRMNNMSFWLLPPSLTLLISSSIVENG"
    "AGTGWTVYPPLSSNIAHSGSSVDLAIFSLHLAGISSILGAINFITTIINMRINNMSFDQMPLFVWAVGITALLLLLSLPVLAGAITMLLTDRNLNTSFFDPAGGG"
    "DPILYQHLF",
    "TLYFIFGAWAGMVGTSLSILIRAELGHPGALIGDDQIYNVIVTAHAFIMIFFMVMPIMIGGFGNWLVPLMLGAPDMAFPRMNNMSFWLLPPSLTLLLVSSMVENG"
    "AGTGWTVYPPLSSGIAHGGASVDLAIFSLHLAGISSILGAVNFITTVINMRSTGITFDRMPLFVWSVVITALLLLLSLPVLAGAITMLLTDRNLNTSFFDPAGGG"
    "DPILYQHLF",
    "TLYFIFGAWAGMVGTSLSMLIRAELGNPGSLIGDDQIYNVIVTAHAFIMIFFMVMPIMIGGFGNWLVPLMLGAPDMAFPRMNNMSFWLLPPSLTLLLMSSMVESG"
    "AGTGWTVYPPLSSNIAHSGASVDLAIFSLHLAGISSILGAVNFITTIINMRSVGMTFDRMPLFVWSVGITALLLLLSLPVLAGAITMLLTDRNLNTSFFDPAGGG"
    "DPILYQHLF",
    "MLYFIFGMWSGMIGLSLSMIIRMELGMPGSWINNDQIYNSIVTSHAFIMIFFMVMPFMIGGFGNWLIPLMLGAPDMAFPRMNNMSFWLLPPSLILLLSSSMVNSG"
    "SGTGWTVYPPLSSNMSHSGASVDLTIFSLHIAGISSIMGAINFIVTILNMKNKGMNFEQMPLFPWSVLITAILLLLSLPVLAGAITMLLTDRNLNTSFFDPSGGG"
    "DPILYQHLF",
)
_OTHERS = (
    (
        "a vertebrate",
        VERTEBRATE,
        "TLYLLFGAWAGMVGTALSLLIRAELGQPGALLGDDQIYNVIVTAHAFVMIFFMVMPIMIGGFGNWLVPLMIGAPDMAFPRMNNMSFWLLPPSFLLLLASSGVEAG"
        "AGTGWTVYPPLAGNLAHAGASVDLTIFSLHLAGVSSILGAINFITTIINMKPPAMTQYQTPLFVWSVLITAVLLLLSLPVLAAGITMLLTDRNLNTTFFDPAGGG"
        "DPILYQHLF",
    ),
    (
        "a vertebrate",
        VERTEBRATE,
        "TLYLLFGAWAGVLGTALSLLIRAELGQPGNLLGNDHIYNVIVTAHAFVMIFFMVMPIMIGGFGNWLVPLMIGAPDMAFPRMNNMSFWLLPPSLLLLLASAMVEAG"
        "AGTGWTVYPPLAGNYSHPGASVDLTIFSLHLAGVSSILGAINFITTIINMKPPAMTQYQTPLFVWSVLITAVLLLLSLPVLAAGITMLLTDRNLNTTFFDPAGGG"
        "DPILYQHLF",
    ),
    (
        "a spider or another arachnid",
        INVERTEBRATE,
        "TLYFIFGAWSAMVGTAMSMLIRIELGQPGSFLGDDQLYNVIVTAHAFVMIFFMVMPILIGGFGNWLVPLMLGAPDMAFPRMNNLSFWLLPPSLFLLFISSMVEVG"
        "VGAGWTVYPPLASTIGHMGSSMDFAIFSLHLAGASSIMGAINFISTIVNMRLYGMSMDKVPLFVWSVLITAVLLLLSLPVLAGAITMLLTDRNFNTSFFDPAGGG"
        "DPILFQHLF",
    ),
    (
        "a crustacean",
        INVERTEBRATE,
        "TLYFIFGAWAGMVGTSLSLLIRAELGQPGSLIGDDQIYNVIVTAHAFVMIFFMVMPIMIGGFGNWLVPLMLGAPDMAFPRMNNMSFWLLPPSLTLLLSSGMVESG"
        "VGTGWTVYPPLAAAIAHAGASVDLGIFSLHLAGVSSILGAVNFMTTVINMRSFGMTLDRMPLFVWAVFITAILLLLSLPVLAGAITMLLTDRNLNTSFFDPAGGG"
        "DPVLYQHLF",
    ),
    (
        "a mollusc",
        INVERTEBRATE,
        "TLYILFGMWSGLVGTALSLLIRAELGQPGALLGDDQLYNVIVTAHAFVMIFFLVMPMMIGGFGNWLVPLMLGAPDMAFPRLNNMSFWLLPPALTLLLSSAAVESG"
        "VGTGWTVYPPLSGNLAHAGPSVDLAIFSLHLAGVSSILGAVNFITTIINMRWEGMQMERLPLFVWSVFITAFLLLLSLPVLAGAITMLLTDRNFNTTFFDPAGGG"
        "DPILYQHLF",
    ),
    (
        "an annelid",
        INVERTEBRATE,
        "TLYFILGIWAGMVGAGMSLLIRIELSQPGSFLGSDQLYNTIVTAHAFLMIFFLVMPVFIGGFGNWLLPLMLGAPDMAFPRLNNMSFWLLPPSLILLVSSAAVEKG"
        "AGTGWTVYPPLASNIAHAGPSVDLAIFSLHLAGASSILGAINFITTVINMRWKGLRLERIPLFVWAVVITVVLLLLSLPVLAGAITMLLTDRNLNTSFFDPAGGG"
        "DPILYQHLF",
    ),
    (
        "an echinoderm",
        ECHINODERM,
        "TLYLIFGAWAGMVGTAMSVIIRTELAQPGSLLQDDQIYNVVVTAHALVMIFFMVMPIMIGGFGNWLIPLMIGAPDMAFPRMNNMSFWLIPPSFLLLLASAGVESG"
        "AGTGWTIYPPLSSGLAHAGGSVDLAIFSLHLAGASSILASINFITTIINMRTPGMTFDRLPLFVWSVFITAFLLLLSLPVLAGAITMLLTDRNINTTFFDPAGGG"
        "DPILFQHLF",
    ),
)
_MARKERS = (
    ("16S ribosomal RNA", ("ACGAGAAGACCCTATAGA", "GACGATAAGACCCTATAA", "CGCTGTTATCCCTAAGGTA",
                           "CGCTGTTATCCCTAAAGTA", "GACGAGAAGACCCTATGGA", "GACGATAAGACCCTATAG",
                           "CGCCTGTTTATCAAAAACAT", "CGCCTGTTTAACAAAAACAT")),
    ("12S ribosomal RNA", ("AAACTGGGATTAGATACCCCACTA", "AAACTAGGATTAGATACCCTATTA", "AAGAGTGACGGGCGATGTGT")),
    ("18S ribosomal RNA", ("AACCTGGTTGATCCTGCCAGT", "GCAGCCGCGGTAATTCCAGCTC", "CCGCGGTAATTCCAGCTCCAAT")),
    ("28S ribosomal RNA", ("ACCCGCTGAATTTAAGCATAT", "GACCCGTCTTGAAACACGGACCAA")),
)  # fmt: skip
_FAR_COI = ("WFFGHPEVYILILPGFG", "VVAHFHYVLSMGAVFA", "HDTYYVVAHFHYV")
"""Stretches of COI behind the barcode region."""

_GENE_ENDS = 900  # letters of a sequence that reaches well beyond the region
_GENOME = 10_000


@dataclass(frozen=True)
class Kind:
    """A group of animals that a barcode reads as.

    Attributes:
        name: with its article.
        table: NCBI's number of its mitochondrial code.
        identity: share of equal amino acids.
        insects: the same with the nearest order of insects.
    """

    name: str
    table: int
    identity: float
    insects: float


@cache
def _codon_meanings(table: int) -> np.ndarray:
    """Return amino acids (5, 5, 5) by base code, X where a base is unknown, as bytes."""
    meanings = np.full((5, 5, 5), ord("X"), np.uint8)
    codons = "".join(map("".join, product("ACGT", repeat=3)))
    meanings[:4, :4, :4] = np.frombuffer(str(translate(codons, table=str(table))).encode(), np.uint8).reshape(
        4, 4, 4
    )
    return meanings


def _identity(sequence: str, consensus: str, table: int) -> tuple[float, int]:
    """Return the share of equal amino acids among the known ones, and their number."""
    codes = np.frombuffer(sequence.encode().translate(bytes.maketrans(b"ACGTN", bytes(range(5)))), np.uint8)
    a, b, c = codes[CODON_START:].reshape(-1, 3).T
    acids, wanted = _codon_meanings(table)[a, b, c], np.frombuffer(consensus.encode(), np.uint8)
    known = acids != ord("X")
    return float((acids == wanted)[known].mean()) if known.any() else 0.0, int(known.sum())


def other_animal(sequence: str) -> Kind | None:
    """Return the group of animals that a framed barcode reads as; None where insects are as near, or nothing
    is."""
    insects = max(_identity(sequence, consensus, INVERTEBRATE)[0] for consensus in _INSECTS)
    kinds = []
    for name, table, consensus in _OTHERS:
        identity, known = _identity(sequence, consensus, table)
        kinds.append(Kind(name, table, identity, insects))
    best = max(kinds, key=lambda kind: kind.identity)
    if known < FEWEST_CODONS or best.identity < max(LEAST_IDENTITY, insects + LEAD):
        return None
    return best


def other_marker(letters: str) -> str | None:
    """Return the marker or the part of COI that a sequence which is not the barcode region looks like."""
    for text in (letters, reverse_complement(letters)):
        for name, motifs in _MARKERS:
            if any(motif in text for motif in motifs):
                return name
        for frame in range(3):
            protein = translate(text[frame : len(text) - (len(text) - frame) % 3], table=str(INVERTEBRATE))
            if any(motif in protein for motif in _FAR_COI):
                return "the part of COI behind the barcode region"
    return None


def longer_piece(letters: int) -> str | None:
    """Return what a sequence is that holds the region and much more."""
    if letters >= _GENOME:
        return "a whole mitochondrial genome"
    return "a longer piece of the COI gene" if letters >= _GENE_ENDS else None

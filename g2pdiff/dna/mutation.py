"""Kinds of mutation: what may be substituted in a barcode, substituting it, and saying what changed.

Sites and codons are counted from 1 in everything a visitor types or reads: sites 1 to 658 of the framed
region, codons 1 to 219 of the reading frame, which begins at site 2 (`g2pdiff.dna.framing.CODON_START`).
Codons are read with NCBI table 5.

Site 1, the last base of a codon that begins before the region, and the sites of codons that hold an N cannot
be judged: whatever is asked of codons leaves them as they are.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np
from Bio.Seq import translate

from g2pdiff.dna.barcode import TRANSLATION_TABLE, Barcode
from g2pdiff.dna.framing import BASES, CODON_START, SITES, decode, encode
from g2pdiff.errors import InputError, quoted
from g2pdiff.validation import check_number, check_rate, check_seed

KINDS = {
    "uniform": "any base, anywhere",
    "synonymous": "synonymous only: the protein stays the same",
    "nonsynonymous": "non-synonymous only: every changed codon means another amino acid",
}
"""Kinds of mutation by name, each with a label to show."""

MAXIMUM_RATIO = 100

_STOP, _UNKNOWN = b"*X"
_GENETIC_CODE = np.full((len(BASES) + 1,) * 3, _UNKNOWN, np.uint8)  # (5, 5, 5) by base code, 4 for N
_GENETIC_CODE[:-1, :-1, :-1] = np.frombuffer(
    str(translate("".join(map("".join, product(BASES, repeat=3))), table=str(TRANSLATION_TABLE))).encode(),
    np.uint8,
).reshape((len(BASES),) * 3)

_TRANSITIONS = ("AG", "GA", "CT", "TC")
_EDIT = re.compile(r"([A-Za-z]?)([0-9]{1,9})([A-Za-z])")
_REGION = re.compile(r"([0-9]{1,9})\s*[-\u2013]\s*([0-9]{1,9})")


@dataclass(frozen=True)
class MutationModel:
    """What substitutions `mutate` draws.

    Attributes:
        kind: `uniform`, any of them; `synonymous`, those after which every codon means what it meant;
            `nonsynonymous`, those after which every changed codon means another amino acid or stop.
        transition_transversion_ratio: R, the expected transitions (A-G, C-T) for each transversion among
            the substitutions. This is Felsenstein's R, not the rate ratio kappa: every base has one
            transition and two transversions, so that R = kappa / 2, and drawing the base evenly is R = 0.5
            (kappa = 1). R holds while the kind has both to offer, then what is left is drawn; 0 draws
            transversions alone. None draws evenly from all that the kind allows, whatever R comes of it.
        no_new_stops: whether codons that are no stop codon must not become one.
        region: first and last site, 1 to 658, outside which nothing changes; None for all sites.

    Raises:
        InputError: field `kind`, `transition_transversion_ratio` or `region`.
    """

    kind: str = "uniform"
    transition_transversion_ratio: float | None = None
    no_new_stops: bool = False
    region: tuple[int, int] | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(
                "kind", f"There is no mutation kind {quoted(self.kind)}: choose {' or '.join(KINDS)}."
            )
        if self.transition_transversion_ratio is not None:
            parse_ratio(self.transition_transversion_ratio)
        if self.region is not None:
            _check_region(*self.region)

    @property
    def reads_codons(self) -> bool:
        """Whether codons matter, so that sites without a whole known codon are left as they are."""
        return self.kind != "uniform" or self.no_new_stops

    @property
    def description(self) -> str:
        """Such as `synonymous, transition/transversion ratio 2, no new stop codons, sites 100 to 200`."""
        parts = [self.kind]
        if self.transition_transversion_ratio is not None:
            parts.append(f"transition/transversion ratio {self.transition_transversion_ratio:g}")
        if self.no_new_stops:
            parts.append("no new stop codons")
        if self.region is not None:
            parts.append(f"sites {self.region[0]} to {self.region[1]}")
        return ", ".join(parts)


UNIFORM = MutationModel()
"""The model of `Barcode.mutate`."""


@dataclass(frozen=True)
class Changes:
    """What differs between two barcodes, at sites and in codons that both know.

    Attributes:
        bases: old base, site, new base, such as `A123G`, in the order of sites.
        amino_acids: old amino acid, codon, new one, such as `L41P`, in the order of codons; * is a stop
            codon.
        new_stops: those of `amino_acids` that became a stop codon.
        transitions, transversions: changed bases by class; A-G and C-T are transitions.
        synonymous, nonsynonymous: changed codons, by whether the meaning stayed. A changed site outside any
            whole known codon counts as neither.
    """

    bases: tuple[str, ...]
    amino_acids: tuple[str, ...]
    new_stops: tuple[str, ...]
    transitions: int
    transversions: int
    synonymous: int
    nonsynonymous: int


def mutate(barcode: Barcode, rate: float, seed: int = 0, model: MutationModel = UNIFORM) -> Barcode:
    """Substitute `round(rate * known sites)` distinct known sites, those of the model's region.

    Substitutions happen one after another, each drawn evenly from all that the model allows by then; after
    each of them the barcode fits the model. With one seed and model, a higher rate keeps the substitutions of
    a lower one and adds to them, so that a series over rates is one path. Warnings stay those of the barcode
    as given. With `UNIFORM` this is `Barcode.mutate`.

    >>> from g2pdiff.built_in import example_barcode
    >>> barcode = Barcode.parse(example_barcode())
    >>> silent = mutate(barcode, 0.05, seed=1, model=MutationModel("synonymous"))
    >>> len(barcode.differences(silent)), silent.amino_acids == barcode.amino_acids
    (33, True)

    Raises:
        InputError: field `mutation_rate` outside 0 to 1 or above what the model allows, see `largest_rate`;
            `seed`; or `region`, if nothing is known there.
    """
    if model == UNIFORM:
        return barcode.mutate(rate, seed)
    rate, seed = check_rate("mutation_rate", rate), check_seed(seed)
    known = len(_known_sites(barcode, model))
    count = round(rate * known)
    if count == 0:
        return barcode
    path = np.array(list(islice(_path(barcode, seed, model), count))).reshape(-1, 2)
    if len(path) < count:
        highest = math.floor(1000 * len(path) / known) / 10
        raise InputError(
            "mutation_rate",
            f"Of the {known} known sites {len(path)} can be substituted ({model.description}, seed {seed}), "
            f"not {count}: choose a mutation rate of at most {highest:g}%.",
        )
    codes = encode([barcode.sequence])
    codes[0, path[:, 0]] = path[:, 1]
    sites = f"{count} site{'s' * (count != 1)}"
    note = f"Substituted {sites} ({model.description}, mutation rate {rate:g}, seed {seed})."
    return replace(barcode, sequence=decode(codes)[0], notes=(*barcode.notes, note))


def largest_rate(barcode: Barcode, model: MutationModel, seed: int = 0) -> float:
    """Return the highest rate, 0 to 1, that `mutate` reaches with this model and seed.

    Raises:
        InputError: field `seed`, or `region` if nothing is known there.
    """
    return sum(1 for _ in _path(barcode, check_seed(seed), model)) / len(_known_sites(barcode, model))


def edit(barcode: Barcode, text: str | None) -> Barcode:
    """Substitute the bases that a person typed.

    >>> edit(Barcode("ACGT"), "A1G, 3t").sequence
    'GCTT'
    >>> edit(Barcode("ACGT"), "C1G")
    Traceback (most recent call last):
    g2pdiff.errors.InputError: Site 1 is A, not C.

    Args:
        barcode: what is edited.
        text: edits such as `A123G` (old base, site, new base) or `123G`, in either case, separated by commas,
            semicolons or space; None and blank text change nothing.

    Raises:
        InputError: field `edits`, if one cannot be read, lies outside the region, names another old base than
            stands there, changes nothing, changes an unknown base, or comes twice.
    """
    letters = list(barcode.sequence)
    sites = set()
    for token in filter(None, re.split(r"[\s,;]+", text or "")):
        old, site, new = _read_edit(token)
        if site in sites:
            raise InputError("edits", f"Site {site} is edited twice: keep one edit of it.")
        present = letters[site - 1]
        if present == "N":
            raise InputError("edits", f"Site {site} is unknown (N): edit a known site.")
        if old not in ("", present):
            raise InputError("edits", f"Site {site} is {present}, not {old}.")
        if new == present:
            raise InputError("edits", f"Site {site} is {present} already: type another base.")
        letters[site - 1] = new
        sites.add(site)
    if not sites:
        return barcode
    note = f"Edited {len(sites)} site{'s' * (len(sites) != 1)}."
    return replace(barcode, sequence="".join(letters), notes=(*barcode.notes, note))


def changes(before: Barcode, after: Barcode) -> Changes:
    """Return what differs between two barcodes.

    >>> found = changes(Barcode("NTTATTA"), Barcode("NTTGTCA"))
    >>> found.bases, found.amino_acids, found.transitions, found.synonymous
    (('A4G', 'T6C'), ('L2S',), 2, 1)
    """
    sites = before.differences(after)
    pairs = [before.sequence[site] + after.sequence[site] for site in sites]
    transitions = sum(pair in _TRANSITIONS for pair in pairs)
    codons = [
        index for index in _touched_codons(sites) if _is_known(before, index) and _is_known(after, index)
    ]
    old, new = before.amino_acids, after.amino_acids
    acids = tuple(f"{old[index]}{index + 1}{new[index]}" for index in codons if old[index] != new[index])
    return Changes(
        bases=tuple(f"{pair[0]}{site + 1}{pair[1]}" for site, pair in zip(sites, pairs, strict=True)),
        amino_acids=acids,
        new_stops=tuple(acid for acid in acids if acid.endswith("*")),
        transitions=transitions,
        transversions=len(sites) - transitions,
        synonymous=len(codons) - len(acids),
        nonsynonymous=len(acids),
    )


def parse_ratio(value: object) -> float | None:
    """Read a transition/transversion ratio, 0 to 100, from a number or text; None where it is missing or
    blank.

    Raises:
        InputError: field `transition_transversion_ratio`.
    """
    if value is None or not str(value).strip():
        return None
    return check_number("transition_transversion_ratio", value, 0, MAXIMUM_RATIO)


def parse_region(text: str | None) -> tuple[int, int] | None:
    """Return the first and last site of a region such as `100-200`; None where the text is missing or blank.

    >>> parse_region("100-200")
    (100, 200)

    Raises:
        InputError: field `region`, if it cannot be read or does not lie in order within the 658 sites.
    """
    text = (text or "").strip()
    if not text:
        return None
    match = _REGION.fullmatch(text)
    if match is None:
        raise InputError("region", f"The region must be two sites such as 100-200, not {quoted(text)}.")
    region = int(match[1]), int(match[2])
    _check_region(*region)
    return region


def _check_region(first: int, last: int) -> None:
    if not 1 <= first <= last <= SITES:
        raise InputError(
            "region",
            f"The region must run from a lower to a higher site within 1-{SITES}, not {first}-{last}.",
        )


def _read_edit(token: str) -> tuple[str, int, str]:
    """Return the old base (may be empty), site from 1 and new base of one typed edit."""
    match = _EDIT.fullmatch(token)
    if match is None:
        raise InputError(
            "edits", f"{quoted(token)} is not an edit: type old base, site and new base, such as A123G."
        )
    old, site, new = match[1].upper(), int(match[2]), match[3].upper()
    if new not in BASES:
        raise InputError("edits", f'The new base of "{token}" must be A, C, G or T.')
    if not 1 <= site <= SITES:
        raise InputError("edits", f"There is no site {site}: the barcode region has sites 1 to {SITES}.")
    return old, site, new


def _known_sites(barcode: Barcode, model: MutationModel) -> np.ndarray:
    """Return known sites, from 0, of the model's region."""
    first, last = model.region or (1, SITES)
    known = np.flatnonzero(encode([barcode.sequence])[0] < len(BASES))
    known = known[(known >= first - 1) & (known < last)]
    if not len(known):
        raise InputError(
            "region", f"The barcode has no known base from site {first} to {last}: choose another region."
        )
    return known


def _path(barcode: Barcode, seed: int, model: MutationModel) -> Iterator[tuple[int, int]]:
    """Return the site, from 0, and new base code of one substitution after another, until none is left to the
    model."""
    generator = np.random.default_rng(seed)
    codes = encode([barcode.sequence])[0]
    acids = _GENETIC_CODE[*_frame_codes(codes)]  # (219,), as given
    ratio = model.transition_transversion_ratio
    is_transition = np.arange(len(BASES)) == (codes ^ 2)[:, None]  # (658, 4): 0-2 is A-G, 1-3 is C-T
    candidates = np.zeros((SITES, len(BASES)), bool)
    candidates[_known_sites(barcode, model)] = True
    candidates &= np.arange(len(BASES)) != codes[:, None]
    if ratio == 0:
        candidates &= ~is_transition
    while (allowed := candidates & _fitting(codes, acids, model)).any():
        if ratio is not None:
            wanted = allowed & (is_transition == (generator.random() < ratio / (1 + ratio)))
            allowed = wanted if wanted.any() else allowed
        options = np.flatnonzero(allowed)
        site, base = divmod(int(options[generator.integers(len(options))]), len(BASES))
        codes[site] = base
        candidates[site] = False
        yield site, base


def _fitting(codes: np.ndarray, acids: np.ndarray, model: MutationModel) -> np.ndarray:
    """Return whether the codon of a site fits the model once the site has a base, (658, 4), bool.

    Args:
        codes: base codes (658,) as they are now.
        acids: amino acids (219,) as they were given, letters as numbers.
        model: what is asked of codons.
    """
    if not model.reads_codons:
        return np.ones((SITES, len(BASES)), bool)
    first, second, third = _frame_codes(codes)
    old = acids[:, None, None]
    of_first = _GENETIC_CODE[:-1, second, third].T
    of_second = _GENETIC_CODE[first, :-1, third]
    of_third = _GENETIC_CODE[first, second, :-1]
    new = np.stack([of_first, of_second, of_third], axis=1)  # (219, 3, 4): codon, position, base put there
    fits = np.broadcast_to(old != _UNKNOWN, new.shape)
    if model.kind == "synonymous":
        fits = fits & (new == old)
    elif model.kind == "nonsynonymous":
        fits = fits & (new != old)
    if model.no_new_stops:
        fits = fits & ((new != _STOP) | (old == _STOP))
    return np.concatenate([np.zeros((CODON_START, len(BASES)), bool), fits.reshape(-1, len(BASES))])


def _frame_codes(codes: np.ndarray) -> np.ndarray:
    """Return base codes (3, 219) of the reading frame from those of the sites (658,)."""
    return codes[CODON_START:].reshape(-1, 3).T


def _touched_codons(sites: tuple[int, ...]) -> list[int]:
    """Return codons, from 0 and in order, that the sites lie in."""
    return sorted({(site - CODON_START) // 3 for site in sites if site >= CODON_START})


def _is_known(barcode: Barcode, codon: int) -> bool:
    start = CODON_START + 3 * codon
    return "N" not in barcode.sequence[start : start + 3]

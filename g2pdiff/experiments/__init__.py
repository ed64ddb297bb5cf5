"""What if? Mutation series, latitude sweeps and paired runs, as generators of `Update`s.

Every experiment draws many pictures that differ in one thing, a few at a time, and hands over rows as they
are finished. Between them it says how far it has come, so that whoever iterates can show progress and stop at
any denoising step; what was handed over stays. It says so, too, whenever it asks in vain for its turn at a
shared model: waiting is left to whoever iterates. The command line, the endpoints and the app's tabs are thin
layers over these functions.

On a checkpoint that learned from simulated specimens the rows also hold the truth, measured on the
simulator's pictures in the same way as on the generated ones.
"""

from g2pdiff.experiments.clines import (
    LATITUDES,
    LONGITUDES,
    Cline,
    SweepRow,
    cline,
    relative_lengths,
    sweep,
    tens_of_degrees,
)
from g2pdiff.experiments.drawing import (
    DEFAULT,
    MAXIMUM_PICTURES,
    Picture,
    Specimen,
    Turn,
    Update,
    check_count,
    draw,
)
from g2pdiff.experiments.mutation_series import (
    RATES,
    MutationRow,
    check_rates,
    check_series,
    mutation_curves,
    mutations,
)
from g2pdiff.experiments.pairs import PairRow, compare, differences
from g2pdiff.experiments.truth import true_pictures
from g2pdiff.request import Denoising, Variant

__all__ = [
    "DEFAULT",
    "LATITUDES",
    "LONGITUDES",
    "MAXIMUM_PICTURES",
    "RATES",
    "Cline",
    "Denoising",
    "MutationRow",
    "PairRow",
    "Picture",
    "Specimen",
    "SweepRow",
    "Turn",
    "Update",
    "Variant",
    "check_count",
    "check_rates",
    "check_series",
    "cline",
    "compare",
    "differences",
    "draw",
    "mutation_curves",
    "mutations",
    "relative_lengths",
    "sweep",
    "tens_of_degrees",
    "true_pictures",
]

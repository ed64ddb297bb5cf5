"""One run as a visitor asked for it: checked before it is queued, and named."""

from __future__ import annotations

import re
from dataclasses import dataclass

from g2pdiff.experiments.request import Request
from g2pdiff.ui.widgets.examples import names


@dataclass(frozen=True)
class Run(Request):
    """The form's values, checked."""

    @property
    def title(self) -> str:
        """The species, where the barcode is an example's; else the FASTA header; else empty."""
        return names().get(self.given.sequence) or self.given.name

    @property
    def file_stem(self) -> str:
        """Such as `Vanessa-cardui_56.60_11.30_mutated10_seed0`: nothing typed but letters and digits."""
        title = re.sub(r"[^A-Za-z0-9]+", "-", self.title).strip("-")[:40] or "barcode"
        mutated = f"_mutated{self.mutation_rate:.0%}".rstrip("%") if self.mutation_rate else ""
        edited = "_edited" if self.edited != self.given else ""
        return f"{title}_{self.latitude:.2f}_{self.longitude:.2f}{edited}{mutated}_seed{self.seed}"

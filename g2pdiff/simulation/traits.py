"""The simulated genotype-to-phenotype function: coordinates of sequence space and latitude give traits.

A specimen's body plan is a blend of the archetypes of similar genera. The Gaussian-process fields move this
blend to the look of the species, each trait by its own spread. Two clines are planted on top: body length
grows by the share ``PLANTED_SLOPE`` per 10 degrees of |latitude| (Bergmann's rule), and colours become a
little darker towards the poles (Bogert's rule).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .archetypes import COLOUR_GROUPS, COLOURS, INDEX, NAMES, TRAITS, Archetypes
from .genome import Genome

PLANTED_SLOPE = 0.05  # growth per 10 degrees of |latitude|, relative to body length
REFERENCE_LATITUDE = 30.0
DARKENING = 0.010  # OKLab lightness per 10 degrees of |latitude|
LONGEST_BODY = 0.58  # at the reference latitude; at the poles a specimen is 1.3 times as long
LIGHTNESS_SPREAD, HUE_SPREAD, CHROMA_SPREAD, TINT_SPREAD = 0.080, 0.23, 0.22, 0.007
DARKEST = 0.20  # OKLab lightness; a darker body would lose its details
ORDER_CONTRAST = 3.0  # power on the orders' weights, so that body plans blend in a narrow zone
UNDARKENED = ("eye_colour", "pupil_colour")
_SWITCHED = {
    "wings": ("wing", "vein", "stigma", "fore", "hind", "tail"),
    "elytra": ("elytra", "striae", "pubes"),
}


@dataclass(frozen=True)
class Traits:
    """Traits of B specimens.

    ``values`` (B, D) are the traits, in columns ``names``; ``weights`` (B, families) are each specimen's
    weights of the families; ``scale`` (D,) is the standard deviation of each trait over the barcode table.
    """

    values: Tensor
    weights: Tensor
    families: tuple[str, ...]
    scale: Tensor
    names: tuple[str, ...] = NAMES

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | Tensor | list[int]) -> Traits:
        """Return some of the specimens."""
        return Traits(self.values[rows], self.weights[rows], self.families, self.scale, self.names)

    def __getattr__(self, name: str) -> Tensor:
        """Return a trait by name: (B,) for a scalar, (B, 3) OKLab for a colour."""
        if name not in INDEX:
            raise AttributeError(f"there is no trait {name!r}")
        i = INDEX[name]
        return self.values[:, i : i + 3] if name.endswith("_colour") else self.values[:, i]

    @property
    def family(self) -> list[str]:
        """The family that each specimen resembles most."""
        return [self.families[i] for i in self.weights.argmax(1).tolist()]

    @property
    def hue(self) -> Tensor:
        """OKLab a and b (B, 2) of a specimen's largest part: wings, wing cases or abdomen."""
        scaled = self.wings * self.wing_opacity > 0.5
        cased = torch.where((self.elytra > 0.5)[:, None], self.elytra_colour, self.abdomen_colour)
        return torch.where(scaled[:, None], self.forewing_colour, cased)[:, 1:]

    def drift(self, other: Traits) -> Tensor:
        """Return the root mean square difference of the traits (B,), in standard deviations of the table."""
        return ((self.values - other.values) / self.scale)[:, self.scale > 0].square().mean(1).sqrt()

    def to(self, device: torch.device | str) -> Traits:
        """Return a copy on ``device``."""
        moved = (self.values.to(device), self.weights.to(device), self.families, self.scale.to(device))
        return Traits(*moved, self.names)


class Development:
    """The function from coordinates and latitude to traits, for one genome and one table of archetypes."""

    def __init__(self, genome: Genome, archetypes: Archetypes, slope: float = PLANTED_SLOPE):
        self.genome, self.slope = genome, slope
        device = genome.device
        self.families = tuple(sorted(set(genome.genus_family)))
        orders = sorted(set(genome.genus_order))
        self.values, self.spreads = archetypes.values.to(device), archetypes.spreads.to(device)
        lineage = list(zip(genome.genera, genome.genus_family, genome.genus_order, strict=True))
        self.row = torch.tensor([archetypes.row(*names) for names in lineage], device=device)
        self.family = torch.tensor([self.families.index(f) for _, f, _ in lineage], device=device)
        self.order = torch.tensor([orders.index(o) for _, _, o in lineage], device=device)
        # a beetle does not influence the shape of a wing: a trait is blended among the plans that have it
        self.switched = {
            switch: torch.tensor(
                [INDEX[t.name] for t in TRAITS if t.name.startswith(prefixes) and t.kind != "switch"],
                device=device,
            )
            for switch, prefixes in _SWITCHED.items()
        }

    @torch.no_grad()
    def __call__(self, coordinates: Tensor, latitudes: Tensor) -> Traits:
        """Map coordinates (B, K) and latitudes (B,) in degrees to traits."""
        genera = self._membership(coordinates)
        values = self._species(genera, self.genome.species_fields(coordinates))
        poleward = (latitudes.abs() - REFERENCE_LATITUDE) / 10
        values[:, INDEX["body_length"]] *= 1 + self.slope * poleward
        for colour in COLOURS:
            if colour.name not in UNDARKENED:
                values[:, INDEX[colour.name]] -= DARKENING * poleward
        weights = _sum_by(genera, self.family, len(self.families))
        return Traits(values, weights, self.families, self.genome.trait_scale)

    def _membership(self, coordinates: Tensor) -> Tensor:
        genera = self.genome.membership(coordinates)
        orders = _sum_by(genera, self.order, int(self.order.max()) + 1)
        sharp = orders**ORDER_CONTRAST
        sharp = sharp / sharp.sum(1, keepdim=True) / orders.clamp(min=1e-20)
        return genera * sharp[:, self.order]

    def _blend(self, rows: Tensor) -> Tensor:
        """Map weights of the archetypes (B, R) to the blended traits (B, D)."""
        blend = rows @ self.values
        for switch, columns in self.switched.items():
            having = rows * (self.values[:, INDEX[switch]] + 1e-6)
            blend[:, columns] = having @ self.values[:, columns] / having.sum(1, keepdim=True)
        return blend

    def _species(self, genera: Tensor, drift: Tensor) -> Tensor:
        """Map body plan and drift to the traits (B, D) at the reference latitude."""
        rows = _sum_by(genera, self.row, len(self.values))
        base = self._blend(rows)
        colour_spread, pattern_spread, shape_spread = (rows @ self.spreads).unbind(1)
        columns = []
        for i, trait in enumerate(TRAITS):
            plan, step = base[:, i], trait.spread * drift[:, i]
            if trait.kind == "size":
                columns.append(plan * torch.exp(shape_spread * step))
            elif trait.kind == "offset":
                columns.append(plan + shape_spread * step)
            elif trait.kind == "share":
                columns.append(torch.sigmoid(plan.clamp(0.006, 0.985).logit() + pattern_spread * step))
            else:
                columns.append((plan > 0.5).float())
        size = columns[INDEX["body_length"]]
        columns[INDEX["body_length"]] = (size**-16 + LONGEST_BODY**-16) ** (-1 / 16)
        for colour in COLOURS:
            start = len(TRAITS) + 3 * COLOUR_GROUPS.index(colour.group)
            own = drift[:, start : start + 3]
            if colour.group == "hindwing":  # hindwings follow the forewings
                fore = len(TRAITS) + 3 * COLOUR_GROUPS.index("forewing")
                own = 0.5 * own + 0.85 * drift[:, fore : fore + 3]
            plan = base[:, INDEX[colour.name] : INDEX[colour.name] + 3]
            columns.extend(_shift_colour(plan, own, colour_spread * colour.strength, colour.strength))
        return torch.stack(columns, 1)


def _shift_colour(plan: Tensor, drift: Tensor, spread: Tensor, strength: float) -> tuple[Tensor, ...]:
    """Move an OKLab colour (B, 3) in lightness, hue and chroma by three drifts (B, 3)."""
    lightness, a, b = plan.unbind(1)
    lighter, hue, chroma = drift.unbind(1)
    lightness = lightness + LIGHTNESS_SPREAD * spread * lighter * (1.15 - lightness)
    lightness = DARKEST + torch.nn.functional.softplus(lightness - DARKEST, beta=30)
    turn = HUE_SPREAD * spread * hue
    gain = torch.exp(CHROMA_SPREAD * strength * chroma)
    tint = TINT_SPREAD * spread  # so that grey and black plans, whose hue cannot turn, differ too
    return (
        lightness,
        (a * turn.cos() - b * turn.sin()) * gain + tint * hue,
        (a * turn.sin() + b * turn.cos()) * gain + tint * chroma,
    )


def _sum_by(weights: Tensor, group: Tensor, groups: int) -> Tensor:
    """Sum the columns of (B, G) weights by group: (B, groups)."""
    return weights.new_zeros(len(weights), groups).index_add_(1, group, weights)


def as_latitudes(latitudes: Sequence[float] | Tensor, device: torch.device) -> Tensor:
    """Return latitudes in degrees as a float32 tensor (B,)."""
    if isinstance(latitudes, Tensor):
        return latitudes.to(device, torch.float32)
    return torch.from_numpy(np.array(latitudes, np.float32)).to(device)

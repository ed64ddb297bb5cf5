"""The comparison as tables: Table 1 (closed world) and Table 2 (open world) in the paper's layout.

A row a system, a column a rank, CLIBDScore with its share of ground truth's, then success. The paper's
printed figures stand in a column of their own: they were measured on photographs of BIOSCAN-5M with the
official CLIBD, and only order and distance of the systems can be compared. Markdown and LaTeX are for
reading; CSV has a line for every system and rank, JSON is results.json itself.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from training.data.storage import write_whole

TITLES = {
    "df_gan": "DF-GAN",
    "stable_diffusion": "Stable Diffusion",
    "controlnet": "ControlNet",
    "g2pdiffusion": "G2PDiffusion",
}
WORLDS = {
    "test": "Table 1. Closed world: unseen barcodes of seen species",
    "test_unseen": "Table 2. Open world: species never seen",
}
PAPER_RANKS = ("1", "5", "100")
# Liu et al. 2025, "G2PDiffusion" (arXiv 2502.04684), on BIOSCAN-5M: CLIBDScore and success in per cent at
# Top-1, 5 and 100, as far as they are known to us; None where they are not.
PAPER = {
    "test": {
        "ground_truth": {"clibd_score": (0.512, None, None), "success": (None, None, None)},
        "random": {"clibd_score": (0.005, None, None), "success": (4.4, None, None)},
        "df_gan": {"clibd_score": (0.054, 0.154, None), "success": (5.6, 18.7, 52.6)},
        "stable_diffusion": {"clibd_score": (0.100, 0.219, None), "success": (11.5, 36.6, 74.8)},
        "controlnet": {"clibd_score": (0.107, 0.228, None), "success": (12.4, 39.1, 77.0)},
        "g2pdiffusion": {"clibd_score": (0.182, 0.302, 0.480), "success": (31.7, 65.8, 94.0)},
    },
    "test_unseen": {"g2pdiffusion": {"clibd_score": (None, None, None), "success": (None, None, 80.3)}},
}
MISSING = "-"


def _paper(split: str, name: str, figure: str) -> str:
    """The paper's figures of a system at `PAPER_RANKS`, in one cell."""
    values = PAPER.get(split, {}).get(name, {}).get(figure, (None,) * len(PAPER_RANKS))
    if all(value is None for value in values):
        return MISSING
    style = "{:.3f}" if figure == "clibd_score" else "{:.1f} %"
    return " / ".join(MISSING if value is None else style.format(value) for value in values)


def _score(row: dict) -> str:
    return f"{row['clibd_score']:.3f} ({row['relative']:.2f})"


def _success(row: dict) -> str:
    return f"{100 * row['success']:.1f} %"


def _ranks(result: dict) -> list[str]:
    """Ranks of the systems, which all have the same number of samples."""
    return list(next(iter(result["systems"].values()))["top"])


def _rows(result: dict, figure: str, cell: Callable[[dict], str]) -> list[list[str]]:
    """Name, a cell for every rank, and the paper's figures: ground truth, random, systems, ablations."""
    split, ranks, truth = result["split"], _ranks(result), result["ground_truth"]["clibd_score"]
    blank = [""] * (len(ranks) - 1)  # one picture a barcode: there is nothing to choose from
    constant = []
    for name, title in (("ground_truth", "ground truth"), ("random", "random pairs")):
        row = result[name] | {"relative": result[name]["clibd_score"] / truth}
        constant.append([title, cell(row), *blank, _paper(split, name, figure)])
    systems = [
        [title, *(cell(result["systems"][name]["top"][k]) for k in ranks), _paper(split, name, figure)]
        for name, title in TITLES.items()
        if name in result["systems"]
    ]
    ablations = [
        [name, *(cell(found["top"][k]) if k in found["top"] else MISSING for k in ranks), ""]
        for name, found in result.get("ablations", {}).items()
    ]
    return constant + systems + ablations


def _grids(result: dict) -> list[tuple[str, list[list[str]]]]:
    return [
        ("CLIBDScore (share of ground truth)", _rows(result, "clibd_score", _score)),
        ("Success rate", _rows(result, "success", _success)),
    ]


def _header(result: dict) -> list[str]:
    return ["", *(f"Top-{k}" for k in _ranks(result)), "paper, BIOSCAN-5M: Top-1 / 5 / 100"]


def _markdown_grid(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def beyond(result: dict) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what is measured beyond the paper."""
    header = ["", "species", "family", "body length R2", "hue R2", "diversity", "KID", "FID", "copies"]
    header += ["lead of G2PDiffusion, Top-1"]
    truth = result["ground_truth"]
    rows = [["ground truth", *_told(truth), *[MISSING] * 5]]
    for name, title in TITLES.items():
        if name not in result["systems"]:
            continue
        system = result["systems"][name]
        copies = system["memorisation"]
        ahead = result["lead"].get(name, {}).get("1")
        rows.append(
            [
                title,
                *_told(system),
                MISSING if system["diversity"] is None else f"{system['diversity']:.3f}",
                f"{system['kid']:.4f}",
                f"{system['fid']:.1f}",
                f"{copies['copies']:.1%}" if copies else MISSING,
                "{:+.3f} ({:+.3f} to {:+.3f})".format(ahead["difference"], *ahead["interval"])
                if ahead
                else MISSING,
            ]
        )
    return header, rows


def _told(found: dict) -> list[str]:
    """Retrieval and traits of a system or of ground truth."""
    traits = found["traits"]
    told = [f"{found['retrieval'][name]:.1%}" for name in ("species", "family")]
    return told + (
        [f"{traits[name]:.2f}" for name in ("body_length_r2", "hue_r2")] if traits else [MISSING] * 2
    )


def markdown(result: dict) -> str:
    """A world's table, and what is measured beyond the paper."""
    parts = [f"### {WORLDS.get(result['split'], result['split'])}", _caption(result)]
    for title, rows in _grids(result):
        parts += [f"**{title}**", _markdown_grid(_header(result), rows)]
    parts += ["**Beyond the paper**", _markdown_grid(*beyond(result))]
    return "\n\n".join(parts) + "\n"


def _caption(result: dict) -> str:
    caption = (
        f"{result['barcodes']} barcodes of the `{result['split']}` split, one a species, {result['samples']} "
        f"samples each; success from CLIBDScore {result['threshold']:.3f}; seed {result['seed']}; "
        f"{result['hardware']}, {result['seconds'] / 60:.0f} minutes of drawing."
    )
    if result.get("ablations"):
        counts = next(iter(result["ablations"].values()))
        caption += f" Ablations: {counts['samples']} samples of each barcode."
    return caption


def _latex(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_")


def latex(result: dict) -> str:
    """A world's table as LaTeX (booktabs)."""
    header = [_latex(cell) for cell in _header(result)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex(WORLDS.get(result['split'], result['split']))}. {_latex(_caption(result))}}}",
        rf"\begin{{tabular}}{{l{'c' * (len(header) - 1)}}}",
        r"\toprule",
    ]
    for title, rows in _grids(result):
        lines += [" & ".join([_latex(title), *header[1:]]) + r" \\", r"\midrule"]
        lines += [" & ".join(map(_latex, row)) + r" \\" for row in rows]
        lines.append(r"\midrule")
    lines[-1] = r"\bottomrule"
    return "\n".join([*lines, r"\end{tabular}", r"\end{table}"]).replace("`", "") + "\n"


def tidy(result: dict) -> list[dict]:
    """A line for every system or ablation and rank, with the paper's figures where they are known."""
    lines = []
    paper = PAPER.get(result["split"], {})
    for kind in ("systems", "ablations"):
        for name, found in result.get(kind, {}).items():
            for k, row in found["top"].items():
                printed = paper.get(name, {}) if k in PAPER_RANKS else {}
                place = PAPER_RANKS.index(k) if k in PAPER_RANKS else 0
                lines.append(
                    {
                        "split": result["split"],
                        "kind": kind[:-1],
                        "name": name,
                        "k": k,
                        "clibd_score": row["clibd_score"],
                        "low": row["interval"][0],
                        "high": row["interval"][1],
                        "relative": row["relative"],
                        "success": row["success"],
                        "paper_clibd_score": printed["clibd_score"][place] if printed else None,
                        "paper_success_percent": printed["success"][place] if printed else None,
                    }
                )
    return lines


REPORT = """\
# The comparison

Every system learned from the same training specimens and drew the same held-out barcodes from the same seeds.
Stable Diffusion is G2PDiffusion's U-Net and conditioner without alignment guidance. ControlNet steers that
U-Net, locked and without its condition, by a hint made of the condition. DF-GAN draws in one pass from noise
and the condition; adversarial training wants many more steps than this gives it. Best of k is estimated
without bias from all samples of a barcode; intervals are 95 % bootstraps over barcodes. The paper's figures
were measured on photographs of BIOSCAN-5M with the official CLIBD and are quoted as far as they are known
here: only order and distance of the systems can be compared.

{truth}
{training}

{worlds}
## Mutation and latitude

One barcode, ever more mutated to the right, ever farther south downwards, from the same noise.

![mutation and latitude](mutation_latitude.png)
"""

SIMULATED = """\
**Specimens are simulated**: barcodes and localities may be real, pictures and traits are drawn from them by
`g2pdiff.simulation`. No figure here says anything about real animals.
"""


def report(results: dict[str, dict], simulated: bool) -> str:
    """Both worlds, and what training took, as Markdown beside the figures."""
    first = next(iter(results.values()))
    lines = ["| trained | steps | minutes | on |", "| --- | --- | --- | --- |"]
    for name, stage in first["training"].items():
        lines.append(f"| {name} | {stage['steps']:,} | {stage['seconds'] / 60:.0f} | {stage['hardware']} |")
    worlds = "\n".join(
        f"{markdown(result)}\n![truth and systems]({split}/systems.png)\n\n"
        f"![densities of CLIBDScores]({split}/density.png)\n"
        for split, result in results.items()
    )
    return REPORT.format(truth=SIMULATED if simulated else "", training="\n".join(lines), worlds=worlds)


def write_tables(result: dict, folder: Path) -> None:
    """Write `table.md`, `table.tex` and `table.csv` of a world."""
    write_whole(folder / "table.md", markdown(result))
    write_whole(folder / "table.tex", latex(result))
    lines = tidy(result)
    out = StringIO()
    writer = csv.DictWriter(out, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_whole(folder / "table.csv", out.getvalue())

"""The tables of the comparison: Table 1 (closed world) and Table 2 (open world) in the paper's layout.

There is one row per system and one column per rank: CLIBDScore with its share of ground truth, then success.
The paper's printed values have their own column. They were measured on photographs of BIOSCAN-5M with the
official CLIBD, so only order and distance of the systems can be compared. Two terms have different meanings:
"25 steps (paper)" are steps of the paper's sampler, while a checkpoint here has the default on its card; the
paper's unseen species are those of BIOSCAN-5M, while a hash chooses them here (`training.data.splits`).
Markdown and LaTeX are for reading. CSV has one line per system and rank. JSON is results.json itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from g2pdiff.spreadsheets import write_csv
from training.data.storage import write_whole

TITLES = {
    "df_gan": "DF-GAN",
    "stable_diffusion": "Stable Diffusion",
    "controlnet": "ControlNet",
    "g2pdiffusion": "G2PDiffusion",
}
NULLS = {
    "nearest_barcode": "picture of the nearest training barcode",
    "species_mean": "mean picture of the species",
    "genus_mean": "mean picture of the genus",
    "family_mean": "mean picture of the family",
    "random_picture": "a random training picture",
    "mean_latent": "regressed mean latent, no diffusion",
}
WORLDS = {
    "test": "Table 1. Closed world: unseen barcodes of seen species",
    "test_unseen": "Table 2. Open world: species never seen",
    "far": "Unseen barcodes of seen species that differ from every learned one by 1 % or more",
    "mutants": "Unseen barcodes of seen species, mutated at 5 to 30 %",
    "places": "Unseen barcodes of seen species at other latitudes",
}
PAPER_RANKS = ("1", "5", "10", "20", "50", "100")
NO_FIGURES = (None,) * len(PAPER_RANKS)
# Liu et al. 2025, "G2PDiffusion" (arXiv 2502.04684), second version, Tables 1 and 2, on BIOSCAN-5M:
# CLIBDScore and success in per cent at `PAPER_RANKS`; None if nothing is printed.
PAPER = {
    "test": {
        "ground_truth": {"clibd_score": (0.512, *NO_FIGURES[1:]), "success": (96.4, *NO_FIGURES[1:])},
        "random": {"clibd_score": (0.005, *NO_FIGURES[1:]), "success": (4.4, *NO_FIGURES[1:])},
        "df_gan": {
            "clibd_score": (0.054, 0.154, 0.181, 0.224, 0.276, 0.314),
            "success": (5.6, 18.7, 32.1, 40.9, 48.1, 52.6),
        },
        "stable_diffusion": {
            "clibd_score": (0.100, 0.219, 0.254, 0.292, 0.338, 0.367),
            "success": (11.5, 36.6, 43.5, 55.7, 68.7, 74.8),
        },
        "controlnet": {
            "clibd_score": (0.107, 0.228, 0.265, 0.307, 0.351, 0.384),
            "success": (12.4, 39.1, 47.0, 57.7, 70.7, 77.0),
        },
        "g2pdiffusion": {
            "clibd_score": (0.182, 0.302, 0.358, 0.397, 0.455, 0.480),
            "success": (31.7, 65.8, 81.1, 90.4, 93.0, 94.0),
        },
    },
    "test_unseen": {
        "df_gan": {
            "clibd_score": (0.045, 0.110, 0.130, 0.155, 0.180, 0.190),
            "success": (4.2, 12.5, 18.3, 22.8, 33.7, 38.4),
        },
        "stable_diffusion": {
            "clibd_score": (0.068, 0.162, 0.185, 0.210, 0.235, 0.250),
            "success": (6.4, 19.3, 28.7, 37.5, 48.2, 53.1),
        },
        "controlnet": {
            "clibd_score": (0.072, 0.155, 0.180, 0.205, 0.235, 0.250),
            "success": (7.1, 18.4, 29.2, 40.3, 51.7, 56.3),
        },
        "g2pdiffusion": {
            "clibd_score": (0.081, 0.184, 0.228, 0.263, 0.313, 0.340),
            "success": (8.8, 25.0, 41.4, 55.1, 75.5, 80.3),
        },
    },
}
MISSING = "-"


def _paper(split: str, name: str, figure: str) -> str:
    """Return the paper's values of a system at `PAPER_RANKS` as one cell."""
    values = PAPER.get(split, {}).get(name, {}).get(figure, NO_FIGURES)
    if all(value is None for value in values):
        return MISSING
    style = "{:.3f}" if figure == "clibd_score" else "{:.1f} %"
    return " / ".join(MISSING if value is None else style.format(value) for value in values)


def _score(row: dict) -> str:
    return f"{row['clibd_score']:.3f} ({row['relative']:.2f})"


def _success(row: dict) -> str:
    return f"{100 * row['success']:.1f} %"


def _ranks(result: dict) -> list[str]:
    """Return the ranks. All systems have the same number of samples."""
    return list(next(iter(result["systems"].values()))["top"])


def _rows(result: dict, figure: str, cell: Callable[[dict], str]) -> list[list[str]]:
    """Return rows for ground truth, random, systems and ablations: name, one cell per rank, and the paper's
    values."""
    split, ranks, truth = result["split"], _ranks(result), result["ground_truth"]["clibd_score"]
    blank = [""] * (len(ranks) - 1)  # there is only one picture per barcode
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
    nulls = [
        [title, *(cell(top[k]) if k in top else MISSING for k in ranks), ""]
        for title, top in ((NULLS[name], found["top"]) for name, found in result.get("nulls", {}).items())
    ]
    return constant + nulls + systems + ablations


def _grids(result: dict) -> list[tuple[str, list[list[str]]]]:
    return [
        ("CLIBDScore (share of ground truth)", _rows(result, "clibd_score", _score)),
        ("Success rate", _rows(result, "success", _success)),
    ]


def _header(result: dict) -> list[str]:
    return ["", *(f"Top-{k}" for k in _ranks(result)), "paper, BIOSCAN-5M: Top-1 / 5 / 10 / 20 / 50 / 100"]


def grid(header: list[str], rows: list[list[str]]) -> str:
    """Return a table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def beyond(result: dict) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the measures that the paper lacks. No system can have a lower KID and FID
    than ground truth."""
    count = result["ground_truth"]["retrieval"]["candidates"]
    header = ["", f"species of {count['species']}", f"species of {count['species_of_all']:,}", "family"]
    header += ["second judge", "rank agreement", "species, second judge", "body length R2", "hue R2"]
    header += ["RMS to truth", "fine detail", "diversity", "KID", "FID", "copies"]
    header += ["lead of G2PDiffusion, Top-1", "the same, second judge"]
    truth = result["ground_truth"]
    rows = [["ground truth", *_told(truth), *[MISSING] * 3, *_distances(truth), *[MISSING] * 3]]
    for kind, titles in (("nulls", NULLS), ("systems", TITLES)):
        for name, title in titles.items():
            if name not in result.get(kind, {}):
                continue
            system = result[kind][name]
            copies = system["memorisation"]
            rows.append(
                [
                    title,
                    *_told(system),
                    f"{system['rms']['value']:.3f}",
                    f"{system['detail']['ratio']:.2f}",
                    MISSING if system["diversity"] is None else f"{system['diversity']:.3f}",
                    *_distances(system),
                    f"{copies['copies']:.1%}" if copies else MISSING,
                    *_ahead(result["lead" if kind == "systems" else "lead_over_nulls"].get(name)),
                ]
            )
    return header, rows


def _ahead(lead: dict | None) -> list[str]:
    """Return the lead over a system at Top-1 for both judges."""
    cells = []
    for judge in ("clibd", "phenotype"):
        row = lead and lead[judge] and lead[judge]["1"]
        cells.append(
            "{:+.3f} ({:+.3f} to {:+.3f})".format(row["difference"], *row["interval"]) if row else MISSING
        )
    return cells


def _distances(found: dict) -> list[str]:
    return [
        MISSING if found[name] is None else f"{found[name]:.{n}f}" for name, n in (("kid", 4), ("fid", 1))
    ]


def _told(found: dict) -> list[str]:
    """Return the cells of both judges' retrieval for a system or for ground truth, and of its traits."""
    cells = [f"{found['retrieval'][name]:.1%}" for name in ("species", "species_of_all", "family")]
    second, traits = found["phenotype"] or {}, found["traits"]
    top, told, agreement = second.get("top"), second.get("told"), second.get("rank_agreement")
    cells.append(f"{top['1']['score']:.3f}" if top else MISSING)
    cells.append(MISSING if agreement is None else f"{agreement:.2f}")
    cells.append(f"{told['species']['share']:.1%}" if told else MISSING)
    for name in ("body_length_r2", "hue_r2"):
        ends = traits and traits[f"{name}_interval"]
        cells.append(f"{traits[name]:.2f} ({ends[0]:.2f} to {ends[1]:.2f})" if traits else MISSING)
    return cells


def markdown(result: dict) -> str:
    """Return a world's table, and the measures that the paper lacks, as Markdown."""
    parts = [f"### {WORLDS.get(result['split'], result['split'])}", _caption(result)]
    for title, rows in _grids(result):
        parts += [f"**{title}**", grid(_header(result), rows)]
    parts += ["**Beyond the paper**", grid(*beyond(result))]
    return "\n\n".join(parts) + "\n"


def _caption(result: dict) -> str:
    caption = (
        f"{result['barcodes']} barcodes of the `{result['split']}` split, one per species, "
        f"{result['samples']} samples each; success from CLIBDScore {result['threshold']:.3f}; "
        f"seed {result['seed']}; {result['hardware']}, {result['seconds'] / 60:.0f} minutes of drawing."
    )
    if result.get("ablations"):
        counts = next(iter(result["ablations"].values()))
        caption += f" Ablations: {counts['samples']} samples of each barcode."
    return caption


def _latex(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_")


def latex(result: dict) -> str:
    """Return a world's table as LaTeX (booktabs)."""
    header = [_latex(cell) for cell in _header(result)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex(WORLDS.get(result['split']) or result['split'])}. {_latex(_caption(result))}}}",
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
    """Return one line per system or ablation and rank, with the paper's values if they are known."""
    lines = []
    paper = PAPER.get(result["split"], {})
    for kind in ("nulls", "systems", "ablations"):
        for name, found in result.get(kind, {}).items():
            for k, row in found["top"].items():
                second = found["phenotype"] and found["phenotype"]["top"].get(k)
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
                        "phenotype_score": second["score"] if second else None,
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
and the condition; adversarial training wants many more steps than this gives it. The nulls draw nothing: they
are pictures looked up among the training specimens, what a generator has to beat. Best of k is estimated
without bias from all samples of a barcode; intervals are 95 % bootstraps over barcodes. The second judge is a
picture encoder that learned apart; where there was none its columns are empty. KID and FID of ground truth
are those of further true individuals, the floor. Fine detail is a multiple of the true pictures': below 1 is
blurred, above 1 crackles. The paper's figures were measured on photographs of BIOSCAN-5M with the official
CLIBD, with 25 steps of its sampler, and its unseen species are those of BIOSCAN-5M: only order and distance
of the systems can be compared.

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
    """Return all worlds and the costs of training as Markdown with the figures."""
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
    write_whole(folder / "table.csv", write_csv(tidy(result)))

"""results.json of `training.evaluate` as Markdown."""

from __future__ import annotations

from training.evaluation.tables import MISSING, NULLS, grid

JUDGES = (("clibd", "CLIBDScore"), ("phenotype", "second judge"))


def results_table(result: dict) -> str:
    """Return the numbers of results.json as Markdown."""
    head = (
        f"{result['barcodes']} barcodes of the world `{result['split']}`, {result['samples']} samples each, "
        f"success from CLIBDScore {result['threshold']:.3f}. In brackets: 95 % intervals over barcodes."
    )
    parts = [
        head,
        grid(*_scores(result)),
        "What a look-up gives, and by how much the checkpoint's first picture is ahead of it:",
        grid(*_nulls(result)),
        grid(["", ""], _facts(result)),
    ]
    if families := _families(result):
        parts += [
            "Species told by the second judge, by family:",
            grid(["family", "barcodes", "told"], families),
        ]
    return "\n\n".join(parts) + "\n"


def _second(found: dict | None, k: str = "1") -> str:
    """Return the second judge's score of a system at a rank, with its interval."""
    row = found and found["top"].get(k)
    return interval(row["score"], *row["interval"]) if row else MISSING


def _scores(result: dict) -> tuple[list[str], list[list[str]]]:
    system, truth, random = result["systems"]["g2pdiffusion"], result["ground_truth"], result["random"]
    rows = [["ground truth", f"{truth['clibd_score']:.3f}", "1.000", f"{truth['success']:.1%}", "1.000"]]
    if system["phenotype"] is None:
        rows[0][-1] = MISSING
    for k, row in system["top"].items():
        rows.append(
            [
                f"G2PDiffusion, best of {k}",
                interval(row["clibd_score"], *row["interval"]),
                f"{row['relative']:.3f}",
                f"{row['success']:.1%}",
                _second(system["phenotype"], k),
            ]
        )
    share = random["clibd_score"] / truth["clibd_score"]
    second = MISSING if random["phenotype"] is None else f"{random['phenotype']:.3f}"
    rows.append(
        ["random pairs", f"{random['clibd_score']:.3f}", f"{share:.3f}", f"{random['success']:.1%}", second]
    )
    return ["", "CLIBDScore", "relative to truth", "success", "second judge"], rows


def _nulls(result: dict) -> tuple[list[str], list[list[str]]]:
    """Return rows for the nulls and for the checkpoint with one blinded part, each with the lead over it."""
    header = ["", "CLIBDScore", "second judge", "RMS to truth", "length R2", "hue R2", "fine detail"]
    header += ["lead, CLIBDScore", "lead, second judge"]
    rows = []
    others = [
        (NULLS[name], found, result["lead_over_nulls"][name]) for name, found in result["nulls"].items()
    ]
    others += [(name, found, found["lead"]) for name, found in result["parts"].items()]
    for title, found, lead in (("G2PDiffusion", result["systems"]["g2pdiffusion"], {}), *others):
        traits, score = found["traits"], found["top"]["1"]
        rows.append(
            [
                title,
                interval(score["clibd_score"], *score["interval"]),
                _second(found["phenotype"]),
                f"{found['rms']['value']:.3f}",
                *(f"{traits[name]:.2f}" if traits else MISSING for name in ("body_length_r2", "hue_r2")),
                f"{found['detail']['ratio']:.2f}",
                *(
                    signed(lead[judge]["1"]["difference"], *lead[judge]["1"]["interval"])
                    if lead.get(judge)
                    else MISSING
                    for judge, _ in JUDGES
                ),
            ]
        )
    return header, rows


def _families(result: dict) -> list[list[str]]:
    """Return one row per family of the second judge's verdicts on photographs, largest families first."""
    system = result["systems"]["g2pdiffusion"]
    second = system["phenotype"]
    if system["traits"] or not second or not second["told"]:
        return []
    found = sorted(second["told"]["by_family"].items(), key=lambda pair: -pair[1]["barcodes"])
    return [[name, str(row["barcodes"]), share(row["share"], row["interval"])] for name, row in found]


def _facts(result: dict) -> list[list[str]]:
    """Return the measures beside the scores, as pairs of name and value."""
    return [*_told(result), *_traits(result), *_experiments(result), *_pictures(result)]


def _told(result: dict) -> list[list[str]]:
    system, truth = result["systems"]["g2pdiffusion"], result["ground_truth"]
    told, known = system["retrieval"], truth["retrieval"]
    count = told["candidates"]
    names = {
        "species": f"species told among the {count['species']} drawn",
        "species_of_all": f"species told among all {count['species_of_all']:,}",
        "family": "family told",
    }
    facts = [
        [f"{title}, CLIBD", f"{share(told[name], told['intervals'][name])}; truth {known[name]:.1%}"]
        for name, title in names.items()
    ]
    second = system["phenotype"]
    if second:
        facts += _second_told(second, truth["phenotype"])
        if second["rank_agreement"] is not None:
            agreement = f"{second['rank_agreement']:.2f}"
            facts.append(["rank agreement of the two judges over pictures (Spearman)", agreement])
    for measure, name in (("rms", "pixels"), ("phenotype", "the second judge")):
        if found := result["nearer_than_nearest"][measure]:
            said = share(found["share"], found["interval"])
            facts.append([f"nearer to the truth than the nearest barcode's picture, by {name}", said])
    return facts


def _second_told(second: dict, truth: dict | None) -> list[list[str]]:
    found = second["told"]
    if not found:
        return []
    facts = []
    for rank in ("species", "family"):
        said = share(found[rank]["share"], found[rank]["interval"])
        if truth and truth["told"]:
            said += f"; truth {truth['told'][rank]['share']:.1%}"
        among = f" among all {found['candidates']:,}" if rank == "species" else ""
        facts.append([f"{rank} told{among}, second judge", said])
    return facts


def _traits(result: dict) -> list[list[str]]:
    traits, truth = result["systems"]["g2pdiffusion"]["traits"], result["ground_truth"]["traits"]
    facts = []
    for title, name in (("body length", "body_length_r2"), ("dominant hue", "hue_r2")):
        if traits:
            said = interval(traits[name], *traits[f"{name}_interval"], decimals=2)
            facts.append([f"R2 of {title}", f"{said}; other true pictures {truth[name]:.2f}"])
        if result["regressions"]:
            each = ", ".join(
                f"{kind} {interval(row[name], *row[f'{name}_interval'], decimals=2)}"
                for kind, row in result["regressions"].items()
            )
            facts.append([f"R2 of {title} by regression from sketch and place", each])
    return facts


def _experiments(result: dict) -> list[list[str]]:
    facts = []
    for along in ("latitude", "longitude"):
        if swept := result.get(along):
            slope = interval(swept["slope_percent_per_10_degrees"], *swept["interval"], unit="%", decimals=2)
            planted = swept["planted_percent_per_10_degrees"]
            told = slope if planted is None else f"{slope}; planted {planted:g} %"
            facts.append([f"body length per 10 degrees of {along}", told])
    if mutations := result.get("mutations"):
        name = f"Spearman of true and drawn drift over {mutations['pictures']} mutated pictures"
        facts.append([name, f"{mutations['spearman']:.2f}"])
    return facts


def _pictures(result: dict) -> list[list[str]]:
    system, truth = result["systems"]["g2pdiffusion"], result["ground_truth"]
    reconstruction, alignment = result["reconstruction"], result["alignment"]
    facts = [
        [
            "CLIBDScore with / without alignment, same seeds",
            f"{alignment['with']:.3f} / {alignment['without']:.3f}, difference "
            + interval(*alignment["difference"]),
        ],
        ["overlap of true and shuffled pairs", f"{result['overlap']:.1%}"],
        [
            "true pictures through the autoencoder",
            f"{reconstruction['psnr_db']:.1f} dB PSNR, CLIBDScore {reconstruction['clibd_score']:.3f}",
        ],
        [
            "fine detail, as a multiple of the true pictures' (below 1 blurred, above 1 crackling)",
            interval(system["detail"]["ratio"], *system["detail"]["interval"], decimals=2),
        ],
    ]
    for name in ("fid", "kid"):
        floor = "" if truth[name] is None else f"; other true individuals {truth[name]:.2f}"
        facts.append([f"{name.upper()} on CLIBD's features", f"{system[name]:.2f}{floor}"])
    if copies := system["memorisation"]:
        facts += [
            [
                "copies: nearer to one of all "
                f"{copies['pictures']:,} training pictures than 99 % of these are to another species",
                f"{copies['copies']:.1%}",
            ],
            [
                "median RMS distance to the nearest training picture",
                f"{copies['nearest']:.3f}; true pictures {copies['nearest_true']:.3f}",
            ],
        ]
    return facts


def interval(value: float, low: float, high: float, unit: str = "", decimals: int = 3) -> str:
    """Return a value with the ends of its interval, such as `5.37 % (2.89 to 7.84)`."""
    unit = f" {unit}" if unit else ""
    return f"{value:.{decimals}f}{unit} ({low:.{decimals}f} to {high:.{decimals}f})"


def signed(value: float, low: float, high: float) -> str:
    """Return a difference with the ends of its interval, each with its sign."""
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def share(value: float, ends: list[float]) -> str:
    """Return a share with the ends of its interval, in per cent."""
    return f"{value:.1%} ({ends[0]:.1%} to {ends[1]:.1%})"

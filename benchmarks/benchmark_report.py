"""docs/benchmarks.md and its pictures, from the results in benchmarks/results."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmark_pictures import draw_growth, draw_overview, draw_readme_chart, draw_roofline
from figures_of_sides import Range, SideFigures, compare_sides, intensity_and_rate
from works import AUTOMATIC, SIDES, WORKS

PREFACE = Path(__file__).parent / "preface.md"
TIME_TO_GOOD = """All search lr × weight_decay × batch_size × optimizer of LeNet on 15,000 images of Fashion-MNIST, at
most 9 epochs each, and evaluate on the same 45,000 held-out images. The clock starts with the command and stops at the
first epoch within 0.005 of the best known accuracy (`benchmarks/time_to_good.py`)."""
BOUNDS = PREFACE.with_name("bounds.md")  # the limits of each result, written by hand
GROWTH = {  # by what grows: the heading, and the label of an axis
    "runs": ("Growth with the number of runs", "runs of the sweep"),
    "width": ("Growth with the number of parameters", "times as wide as LeNet"),
    "images": ("Growth with the length of an epoch", "images, a tenth of them held out"),
}
STEPS = """From `benchmarks/step_profile.py --keep`: the step of each workload, alone and together as in a sweep.
Operations are timed as torch dispatches them; the remainder is Python, autograd and dispatch. A step's *intensity* is
the number of its floating-point operations per byte that its operations read or write. Without caches,
all of these bytes would go through memory: left of the roofline's bend a step is bound by memory, right of it by
arithmetic, and points above the slope are due to caches."""
SHOWN_FAMILIES = {  # columns of the table of steps: the rest is a column, too
    "convolution, backward": "convolutions, backward",
    "convolution, forward": "forward",
    "pooling": "pooling",
    "normalisation": "normalisation",
    "matrix products": "matrix products",
    "Python, autograd, dispatch": "Python, autograd",
}
PACKAGES = ("torch", "torchvision", "lightning", "ray", "optuna", "numpy", "cnnsweep")


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_report(results: Path, docs: Path) -> None:
    """Write benchmarks.md and images/bench_*.svg from all results that are there."""
    files = {name: results / f"{name}.json" for name in WORKS}
    found = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    parts = [PREFACE.read_text()]
    works = {name: result for name, result in found.items() if not result["growth"]}
    if works:
        compared = {name: compare_sides(result) for name, result in works.items()}
        draw_overview(compared, images / "bench_overview.svg")
        draw_readme_chart(compared, images / "speed.svg")
        parts.append("![Time of each side relative to cnnsweep, by workload](images/bench_overview.svg)\n")
        parts += [work_section(result) for result in works.values()]
    for family, (_, axis) in GROWTH.items():
        grown = [result for result in found.values() if result["growth"] and result["growth"][0] == family]
        if grown:
            draw_growth(grown, axis, images / f"bench_growth_{family}.svg")
            parts.append(growth_section(family, grown))
    if (results / "time_to_good.json").exists():
        parts.append(time_to_good_section(json.loads((results / "time_to_good.json").read_text())))
    if (results / "steps.json").exists():
        steps = json.loads((results / "steps.json").read_text())
        draw_roofline(steps, images / "bench_roofline.svg")
        parts.append(steps_section(steps))
    if BOUNDS.exists():
        parts.append(BOUNDS.read_text())
    (docs / "benchmarks.md").write_text("\n".join(parts))


def work_section(result: dict[str, Any]) -> str:
    """Return a work's table with what was measured, on what, and what was cut."""
    lines = [f"## {result['title']}", "", _conditions(result), ""]
    lines += [
        "| | s per run and epoch | × cnnsweep | start-up | CPU | memory | of the rate | accuracy |",
        "| --- " * 8 + "|",
    ]
    sides = compare_sides(result)
    lines += [_row(name, sides[name], result) for name in SIDES if name in sides]
    lines += [
        f"| {SIDES[name].title} | failed: {_escaped(why)} | | | | | | |" for name, why in result["failures"].items()
    ]
    return "\n".join([*lines, ""])


def growth_section(family: str, grown: list[dict[str, Any]]) -> str:
    """Return one table of all works of a family: a row a side, a column a size."""
    heading, _ = GROWTH[family]
    sizes = [result["growth"][1] for result in grown]
    compared = [compare_sides(result) for result in grown]
    lines = [f"## {heading}", "", f"{grown[0]['title']}, to {grown[-1]['title']}. {_conditions(grown[-1])}", ""]
    lines += [
        f"Milliseconds per run and epoch, start-up included, and × cnnsweep:\n\n| | {' | '.join(map(str, sizes))} |"
    ]
    lines += ["| --- " * (len(sizes) + 1) + "|"]
    for name in SIDES:
        if any(name in sides for sides in compared):
            cells = [_growth_cell(sides.get(name)) for sides in compared]
            lines.append(f"| {_title(name)} | {' | '.join(cells)} |")
    picture = f"\n![{heading}: seconds per run](images/bench_growth_{family}.svg)\n"
    return "\n".join([*lines, picture])


def time_to_good_section(result: dict[str, Any]) -> str:
    """Return the medians and all figures of searches; one that did not get there counts as infinitely long."""
    limit = f"> {result['limit_min']:g} min"
    lines = ["## Time to a good answer", "", TIME_TO_GOOD, ""]
    lines += [f"Until {result['target']:.4f} on the images held out. {result['about']}. {_packages(result)}.", ""]
    lines += ["| | median | by seed of the search |", "| --- | --- | --- |"]
    for name, seconds in result["seconds"].items():
        in_order = [seconds[seed] for seed in sorted(seconds, key=int)]
        shown = ", ".join(limit if one is None else f"{one:.0f} s" for one in in_order)
        middle = median(float("inf") if one is None else one for one in in_order)
        failed = f" (failed: {_escaped(result['failures'][name])})" if name in result["failures"] else ""
        middle_shown = limit if middle == float("inf") else f"{middle:.0f} s"
        lines.append(f"| {result['titles'][name]}{failed} | {middle_shown} | {shown} |")
    return "\n".join([*lines, ""])


def steps_section(result: dict[str, Any]) -> str:
    """Return a table with a row for each work's step alone and one for it together."""
    rate, memory = result["gflops"], result["memory_gb_s"]
    lines = ["## Profile of a step", "", STEPS, ""]
    lines += [
        f"{result['about']}; a large matrix product reached {rate:.0f} GFLOP/s, copying moved {memory:.0f} GB/s. "
        f"{_packages(result)}.",
        "",
    ]
    heads = ["step", "ms per run", *SHOWN_FAMILIES.values(), "the rest", "GFLOP/s", "of the rate", "intensity"]
    lines += [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for name, steps in result["works"].items():
        for step in steps:
            seconds, (intensity, speed) = step["seconds"], intensity_and_rate(step)
            shares = [step["spent"].get(family, 0.0) / seconds for family in SHOWN_FAMILIES]
            cells = [f"{share:.0%}" for share in [*shares, max(0.0, 1 - sum(shares))]]
            how = "alone" if step["runs"] == 1 else f"{step['runs']} together"
            cells = [f"{name}, {how}", f"{1000 * seconds / step['runs']:.3g}", *cells]
            cells += [f"{speed:.0f}", f"{speed / rate:.0%}", f"{intensity:.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "\n![Each step under the machine's roof](images/bench_roofline.svg)\n"])


def _packages(result: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in result["versions"].items() if name != "system")


def _conditions(result: dict[str, Any]) -> str:
    done, wanted = len(result["rounds"]), result["rounds_wanted"]
    cut = "" if done == wanted else f" (of {wanted}, for want of time)"
    rates = Range.of(result["matrix_product_gflops"])
    product = f"a large matrix product reached {rates.median:.0f} GFLOP/s ({rates.low:.0f} to {rates.high:.0f})"
    count = f"{result['images']:,} images; {done} round{'s' if done > 1 else ''}{cut}"
    return f"{result['data']}, {count}. {result['about']}; {product}. {_packages(result)}."


def _row(name: str, figures: SideFigures, result: dict[str, Any]) -> str:
    title = _title(name)
    if figures.measured_runs < result["runs"]:
        title += f" ({figures.measured_runs} of {result['runs']} runs)"
    if figures.rounds < len(result["rounds"]):
        title += f" ({figures.rounds} round{'s' if figures.rounds > 1 else ''})"
    if figures.disagrees:
        title += " ✗"
    mine = figures.a_run_and_epoch
    ratio = figures.ratio
    times = "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
    cells = [
        f"{mine.median:.3g} ({mine.low:.3g} to {mine.high:.3g})",
        times,
        *(f"{figures.start_up_s:.1f} s", f"{figures.cpu_s:.1f} s", f"{figures.peak_bytes / 1e6:.0f} MB"),
        *(f"{figures.share_of_rate:.1%}", f"{figures.accuracies[0]:.3f}, {figures.accuracies[1]:.3f}"),
    ]
    return f"| {title} | {' | '.join(cells)} |"


def _title(name: str) -> str:
    return f"**{SIDES[name].title}**" if name == AUTOMATIC else SIDES[name].title


def _growth_cell(figures: SideFigures | None) -> str:
    if figures is None:
        return "–"
    ratio = "" if figures.ratio is None else f" (×{figures.ratio.median:.2f})"
    return f"{1000 * figures.a_run_and_epoch.median:.0f}{ratio}{' ✗' if figures.disagrees else ''}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

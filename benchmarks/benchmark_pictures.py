"""The pictures of docs/benchmarks.md, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from figures_of_sides import SideFigures, compare_sides, intensity_and_rate
from works import AUTOMATIC, SIDES

mpl.use("svg")
import matplotlib.pyplot as plt

# The same bytes for the same figures; text stays text.
mpl.rcParams.update({"svg.hashsalt": "cnnsweep", "svg.fonttype": "none", "font.size": 9})
_COLOURS = {**dict(zip(SIDES, mpl.colormaps["tab20"].colors, strict=False)), AUTOMATIC: "black"}
README_WORKS = {"rates": "16 runs of LeNet, 2 epochs each", "resnet18": "2 runs of ResNet-18, 1 epoch each"}
README_SIDES = ("lightning", "optuna", "tutorial", "ray_tune", "vmap", "hand", "hand_processes", AUTOMATIC)
_MARKERS = dict(zip(SIDES, "osv^<>DPX*hd8p", strict=True))


def draw_overview(works: dict[str, dict[str, SideFigures]], file: Path) -> None:
    """Draw one row per workload and one mark per side: its time relative to cnnsweep."""
    figure, axes = plt.subplots(figsize=(8, max(3.2, 0.6 + 0.5 * len(works))), layout="constrained")
    for name, side in SIDES.items():
        if name == AUTOMATIC:
            continue
        points = [
            (sides[name].ratio, -row)
            for row, sides in enumerate(works.values())
            if name in sides and sides[name].ratio is not None and not sides[name].disagrees
        ]
        if not points:
            continue
        medians = [ratio.median for ratio, _ in points]
        errors = [[r.median - r.low for r, _ in points], [r.high - r.median for r, _ in points]]
        style = {"fmt": _MARKERS[name], "color": _COLOURS[name], "label": side.title, "elinewidth": 1}
        axes.errorbar(medians, [row for _, row in points], xerr=errors, **style)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="times as long as cnnsweep", yticks=[-row for row in range(len(works))])
    axes.set_yticklabels(list(works))
    ticks = [0.5, 1, 2, 5, 10, 20, 50]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0.5 - len(works), 0.5)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    _save(figure, file)


def draw_readme_chart(works: dict[str, dict[str, SideFigures]], file: Path) -> None:
    """Draw two works as bars: many small runs, and few runs of a wide network."""
    panels = [(works[name], title) for name, title in README_WORKS.items() if name in works]
    if not panels:
        return
    names = [name for name in README_SIDES if any(name in sides for sides, _ in panels)]
    figure, axes = plt.subplots(1, len(panels), figsize=(8, 2.6), layout="constrained", sharey=True, squeeze=False)
    for (sides, title), panel in zip(panels, axes[0], strict=True):
        for row, name in enumerate(names):
            ratio = sides[name].ratio if name in sides else None
            if ratio is None:
                panel.text(0.05, -row, "not measured", va="center", color="grey")
                continue
            panel.barh(-row, ratio.median, color="#0f766e" if name == AUTOMATIC else "#9ca3af", height=0.7)
            panel.text(ratio.median + 0.05, -row, f"{ratio.median:.2f}".rstrip("0").rstrip("."), va="center")
        panel.set_title(title, fontsize=9)
        panel.set(xlim=(0, 7), xlabel="time, relative to cnnsweep", yticks=[-row for row in range(len(names))])
        panel.set_yticklabels([SIDES[name].title for name in names])
        panel.spines[["top", "right"]].set_visible(False)
    _save(figure, file)


def draw_growth(grown: list[dict[str, Any]], label: str, file: Path) -> None:
    """Draw the seconds per run against the growing size, one line per side."""
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    compared = [(result["growth"][1], compare_sides(result)) for result in grown]
    for name, side in SIDES.items():
        points = [(size, sides[name].a_run_and_epoch.median) for size, sides in compared if name in sides]
        if points:
            style = {"marker": _MARKERS[name], "color": _COLOURS[name], "label": side.title}
            axes.plot([size for size, _ in points], [seconds for _, seconds in points], **style)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="seconds per run and epoch")
    sizes = [size for size, _ in compared]
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.minorticks_off()
    for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):  # less than a power of ten is common
        ticks("{x:g}")
    axes.legend(frameon=False)
    _save(figure, file)


def draw_roofline(result: dict[str, Any], file: Path) -> None:
    """Draw each work's step alone (hollow) and together (filled) under what arithmetic and memory allow."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    peak, memory = result["gflops"], result["memory_gb_s"]
    intensities: list[float] = []
    for (name, steps), colour, marker in zip(
        result["works"].items(), mpl.colormaps["tab10"].colors, "osv^<>D", strict=False
    ):
        points = [intensity_and_rate(step) for step in steps]
        intensities += [intensity for intensity, _ in points]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.8)
        for (x, y), step in zip(points, steps, strict=True):
            face = "none" if step["runs"] == 1 else colour
            label = None if step["runs"] == 1 else name
            axes.plot([x], [y], marker=marker, color=colour, markerfacecolor=face, label=label, linestyle="none")
    ends = [min(intensities) / 2, max(*intensities, peak / memory) * 2]
    bend = [ends[0], peak / memory, ends[1]]
    axes.plot(bend, [min(peak, memory * x) for x in bend], color="black", linewidth=1)
    axes.annotate(
        f"a large matrix product: {peak:.0f} GFLOP/s", (ends[1], peak), (0, 4), textcoords="offset points", ha="right"
    )
    middle = (ends[0] * bend[1]) ** 0.5
    axes.annotate(
        f"memory: {memory:.0f} GB/s", (middle, memory * middle), (6, -4), textcoords="offset points", va="top"
    )
    axes.set(xscale="log", yscale="log", xlabel="floating-point operations for each byte read or written")
    axes.set_ylabel("GFLOP/s of a step")
    for ticks in (axes.xaxis.set_major_formatter, axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        ticks("{x:g}")
    axes.legend(frameon=False, title="filled: together", loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)

"""cnnsweep and what people would use instead: the same work, in turn, each in a fresh process.

    python benchmarks/peers.py --data-root data [--work grid rates] [--rounds 3] [--budget 60] [--append] [--quick]

`make bench` makes an environment with all peers and runs this in it. What each side does is in benchmarks/peers/, one
file a side; what the works are, in works.py. Figures go to benchmarks/results/WORK.json, and docs/benchmarks.md with
its pictures is written anew from all results that are there.

A work's first round always runs; a further one only where it fits into the work's share of the budget, and the report
says how many there were. Sides that train run after run are measured on some of the runs, which the report says too.
With --append, rounds are added to those that are there, of some sides if need be: a ratio compares within a round.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import benchmark_report
from preparing import count_flop, prepare_images, write_task
from processes import ProgramError, run_measured
from side_by_side import about_machine, matrix_product_rate
from works import NOT_BY_DEFAULT, SIDES, Work, chosen_works, count_runs, quick

HERE = Path(__file__).parent
MOST_SECONDS = 1800  # of one side in one round
FIGURES = ("loss", "accuracy", "val_accuracy")


def main() -> None:
    arguments = parse_arguments()
    works = chosen_works(arguments.work)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scratch = arguments.out or Path(folder)
        scratch.mkdir(parents=True, exist_ok=True)
        results = scratch / "results" if arguments.quick else HERE / "results"
        results.mkdir(exist_ok=True)
        docs = scratch if arguments.quick else HERE.parent / "docs"
        machine = {"about": about_machine(), "versions": benchmark_report.versions()}
        print(machine["about"], flush=True)
        start, share_before = time.monotonic(), 0.0
        share_of_all = sum(work.share for work in works.values())
        for name, work in works.items():
            share_before += work.share
            deadline = start + 60 * arguments.budget * share_before / share_of_all
            file = results / f"{name}.json"
            before = json.loads(file.read_text()) if arguments.append and file.exists() else None
            one = quick(work) if arguments.quick else work
            turns = 0 if before is None else len(before["rounds"])
            result = measure_work(one, arguments, Path(folder, name), deadline, turns)
            if before is not None:
                result = with_rounds_before(before, {**machine, **result})
            file.write_text(json.dumps({**machine, **result}) + "\n")
            print(benchmark_report.work_section({**machine, **result}), flush=True)
            benchmark_report.write_report(
                results, docs
            )  # after each, so that a command that is cut off leaves something
        print(f"{docs / 'benchmarks.md'} is written; {time.monotonic() - start:.0f} s in all")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    families = ["grid", "rates", "many", "batchnorm", "cifar_cnn", "resnet18", "growth"]
    parser.add_argument("--work", nargs="+", default=families, help=", ".join(families))
    parser.add_argument("--only", nargs="+", choices=list(SIDES), default=[s for s in SIDES if s not in NOT_BY_DEFAULT])
    parser.add_argument("--skip", nargs="+", choices=list(SIDES), default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=60, help="minutes, after which works get no further rounds")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--append", action="store_true", help="add rounds to the results that are there")
    parser.add_argument("--out", type=Path, help="keeps prepared images; with --quick the results go there too")
    parser.add_argument("--quick", action="store_true", help="tiny works, to see whether everything works")
    arguments = parser.parse_args()
    if not chosen_works(arguments.work):
        parser.error(f"--work {' '.join(arguments.work)}: there is none of this name")
    return arguments


def measure_work(
    work: Work, arguments: argparse.Namespace, folder: Path, deadline: float, turns: int = 0
) -> dict[str, Any]:
    """Return everything measured of one work, ready for its JSON file.

    Args:
        turns: how many rounds there were before: each begins with another side.
    """
    folder.mkdir(parents=True)
    images, what = prepare_images(work, arguments.data_root, arguments.out or folder.parent)
    sides = [name for name in work.sides if name in arguments.only and name not in arguments.skip]
    rounds: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    rates: list[float] = []
    while len(rounds) < arguments.rounds:
        began = time.monotonic()
        rates.append(matrix_product_rate())
        figures: dict[str, Any] = {}
        turn = (turns + len(rounds)) % max(1, len(sides))
        for name in sides[turn:] + sides[:turn]:  # so that nobody always comes after the same one
            if name in failures:
                continue
            try:
                figures[name] = measure_side(work, name, images, folder / f"{len(rounds)}-{name}", arguments.device)
            except ProgramError as error:
                failures[name] = str(error).strip().splitlines()[-1][:200]
                print(f"  {work.title}: {name}: {error}", file=sys.stderr, flush=True)
        if rounds:  # one round's accuracies are compared; those of all would make large files
            figures = {name: {**one, "columns": [], "rows": []} for name, one in figures.items()}
        rounds.append(figures)
        now = time.monotonic()
        if now + (now - began) > deadline:  # another such round would end too late
            break
    return {
        **{"title": work.title, "data": what, "images": work.images, "device": arguments.device},
        **{"runs": count_runs(work.axes), "epochs": work.epochs, "growth": work.growth},
        **{"flop_a_run_and_epoch": count_flop(work, images), "matrix_product_gflops": rates},
        **{"rounds_wanted": arguments.rounds, "rounds": rounds, "failures": failures},
    }


def with_rounds_before(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return a work's result with the rounds of an earlier command before its own, if both measured the same."""
    for key in ("about", "versions", "title", "data", "images", "runs", "epochs", "device"):
        if before[key] != now[key]:
            sys.exit(f"--append: {key} was {before[key]} and is {now[key]}; measure the work anew, without --append")
    known = {name for round_ in before["rounds"] for name in round_}
    added = [
        {name: {**one, "columns": [], "rows": []} if name in known else one for name, one in round_.items()}
        for round_ in now["rounds"]
    ]
    rounds = [*before["rounds"], *added]
    rates = before["matrix_product_gflops"] + now["matrix_product_gflops"]
    failures = {**before["failures"], **now["failures"]}
    wanted = len(before["rounds"]) + now["rounds_wanted"]
    return {**now, "rounds": rounds, "matrix_product_gflops": rates, "failures": failures, "rounds_wanted": wanted}


def measure_side(work: Work, name: str, images: Path, folder: Path, device: str) -> dict[str, Any]:
    """Train a work with one side in a fresh process."""
    side = SIDES[name]
    axes = work.few if side.in_turn else work.axes
    task = write_task(work, side, images, axes, folder, device)
    command = [sys.executable, str(HERE / "peers" / f"{side.script}.py"), str(task)]
    used = run_measured(command, folder / "stderr.txt", side.environment, MOST_SECONDS)
    said = json.loads(used.output.splitlines()[-1])
    rows = said.pop("rows")
    columns = (*axes, *FIGURES)
    values = [[round(row[column], 7) for column in columns] for row in rows]
    print(f"  {name:16s} {said['seconds']:8.2f} s, {len(rows)} runs", file=sys.stderr, flush=True)
    return {
        **{key: round(value, 3) for key, value in said.items()},
        **{"wall_s": round(used.wall_s, 3), "cpu_s": round(used.cpu_s, 2), "peak_bytes": used.peak_bytes},
        **{"runs": count_runs(axes), "columns": columns, "rows": values},
    }


if __name__ == "__main__":
    main()

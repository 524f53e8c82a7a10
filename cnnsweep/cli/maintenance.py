"""Commands for installation and sweep folders: logs, doctor, clean."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnsweep.cli.options import AsJson, stdout
from cnnsweep.errors import UsageError

if TYPE_CHECKING:
    from cnnsweep.maintenance.clean import CleaningWishes, UnusedFile
    from cnnsweep.report.logs import RunLog, SweepLogs
    from cnnsweep.storage.paths import SweepPaths


def logs(
    path: Annotated[Path, typer.Argument(help="Sweep folder or run folder.", metavar="PATH")],
    run_name: Annotated[
        str | None, typer.Argument(help="Name or id of the run, or a prefix of either.", metavar="[RUN]")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the log until the run ends or Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the log of a run, including the traceback of a failure.

    Without RUN, list the failed and diverged runs of a sweep with kind, cause and log file; if only one run failed,
    print its whole log.

    \b
    Examples:
      cnnsweep logs runs/fashion
      cnnsweep logs runs/fashion lr0.01 --follow
    """
    from cnnsweep.report.logs import find_logs

    found, log = find_logs(path, run_name)
    if follow and as_json:
        raise UsageError("--follow and --json cannot be combined")
    if as_json:
        _print_json(found, log)
    elif log is not None:
        _print_log(found, log, is_followed=follow)
    elif follow:
        raise UsageError("--follow: needs a run, as in: cnnsweep logs PATH RUN --follow")
    else:
        _print_failed(found)


def _print_log(found: SweepLogs, log: RunLog, *, is_followed: bool) -> None:
    from cnnsweep.report.logs import follow, log_lines

    if is_followed:
        follow(found, log, _print_at_once)
        return
    for line in log_lines(log):
        print(line)


def _print_at_once(line: str) -> bool:
    print(line, flush=True)
    return getattr(sys.stdout, "failure", None) is None


def _print_failed(found: SweepLogs) -> None:
    from cnnsweep.formatting.escape import safe_text

    failed = found.failed
    if not failed:
        print("no run failed or diverged; to show the log of another run: cnnsweep logs PATH RUN")
    elif len(failed) == 1:
        print(f"{safe_text(failed[0].run.name)}  {failed[0].words}\n")
        _print_log(found, failed[0], is_followed=False)
    else:
        for log in failed:
            print(f"{safe_text(log.run.name)}  {log.words}\n  {safe_text(log.path)}")


def _print_json(found: SweepLogs, log: RunLog | None) -> None:
    from cnnsweep.report.logs import log_lines

    if log is None:
        print(json.dumps([one.to_plain() for one in found.failed], indent=2))
    else:
        print(json.dumps({**log.to_plain(), "lines": list(log_lines(log))}, indent=2))


def doctor(
    path: Annotated[
        Path | None, typer.Argument(help="Sweep folder; without one, check this installation.", metavar="[FOLDER]")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rebuild damaged files from intact ones and list what changed.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check this installation, or every file of a sweep.

    Without FOLDER, check versions, devices, extras and disk. With it, check that journal, checkpoints and tables are
    intact and agree. --repair rebuilds files that follow from others; the next 'cnnsweep run' retrains lost runs.

    \b
    Examples:
      cnnsweep doctor
      cnnsweep doctor runs/fashion
      cnnsweep doctor runs/fashion --repair

    Exit codes: 0 no problems, 1 problems found, 3 folder in use, 4 no sweep found.
    """
    from cnnsweep.maintenance.diagnostic import has_problems
    from cnnsweep.maintenance.render import diagnostics_to_json, render_diagnostics

    repairs: list[str] | None = None
    if path is None:
        from cnnsweep.maintenance.check_installation import check_installation

        if repair:
            raise UsageError("--repair: needs a sweep's folder, as in: cnnsweep doctor runs/fashion --repair")
        diagnostics = check_installation(Path("runs"))
    else:
        from cnnsweep.maintenance.check_sweep import check_sweep, find_sweep
        from cnnsweep.maintenance.repair import repair_sweep
        from cnnsweep.progress.loading import loading_progress

        sweep = find_sweep(path)
        with loading_progress(quiet) as progress:
            repairs = repair_sweep(sweep, progress) if repair else None
            diagnostics = check_sweep(sweep, progress)
    if as_json:
        print(diagnostics_to_json(diagnostics, repairs))
    else:
        if repairs is not None:
            print("\n".join(repairs) if repairs else "nothing to repair")
        render_diagnostics(diagnostics, stdout())
    if has_problems(diagnostics):
        raise typer.Exit(1)


def clean(
    path: Annotated[Path | None, typer.Argument(help="Sweep folder.", metavar="[FOLDER]")] = None,
    keep_best: Annotated[
        int | None,
        typer.Option("--keep-best", min=1, help="Remove the best weights of all but the best N trials.", metavar="N"),
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Remove the TensorBoard files of finished runs.")] = False,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Remove the damaged journals kept by 'doctor --repair'.")
    ] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Remove the decoded images of every data set.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files without removing them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove files that a sweep no longer needs.

    Always removes the checkpoints of finished runs, and temporary files of killed processes. Metrics, logs and best
    weights are kept, and all files of unfinished runs.

    \b
    Examples:
      cnnsweep clean runs/fashion --dry-run
      cnnsweep clean runs/fashion --keep-best 3 --events
      cnnsweep clean --cache
    """
    from cnnsweep.maintenance.check_sweep import find_sweep
    from cnnsweep.maintenance.clean import CleaningWishes, find_unused_files
    from cnnsweep.maintenance.clean import clean as remove_rubbish
    from cnnsweep.maintenance.render import unused_files_to_json

    if path is None and (not cache or keep_best is not None or events or damaged):
        raise UsageError("clean: needs a sweep folder, as in: cnnsweep clean runs/fashion (--cache alone needs none)")
    sweep = None if path is None else find_sweep(path)
    wishes = CleaningWishes(keep_best, events, damaged, cache)
    if not dry_run and not yes:
        _ask_to_clean(sweep, wishes)
    unused_files = find_unused_files(sweep, wishes) if dry_run else remove_rubbish(sweep, wishes)
    if as_json:
        print(unused_files_to_json(unused_files, is_removed=not dry_run))
    else:
        _print_unused_files(unused_files, is_removed=not dry_run)


def _ask_to_clean(sweep: SweepPaths | None, wishes: CleaningWishes) -> None:
    from rich.console import Console

    from cnnsweep.maintenance.clean import find_unused_files
    from cnnsweep.maintenance.render import render_unused_files

    unused_files = find_unused_files(sweep, wishes)
    if not unused_files:
        return
    if not sys.stdin.isatty():
        raise UsageError("clean: confirmation needs a terminal; add --yes to remove, or --dry-run to list the files")
    render_unused_files(unused_files, Console(stderr=True))
    typer.confirm("Remove these?", abort=True, err=True)


def _print_unused_files(unused_files: list[UnusedFile], *, is_removed: bool) -> None:
    from cnnsweep.formatting.numbers import bytes_text
    from cnnsweep.maintenance.render import render_unused_files

    if not unused_files:
        print("nothing to remove")
        return
    render_unused_files(unused_files, stdout())
    total = bytes_text(sum(one.size_bytes for one in unused_files))
    print(f"{total} freed" if is_removed else f"{total} would be freed; nothing was removed")

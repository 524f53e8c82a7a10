"""The lead of the best trial and its certainty, in words."""

from collections.abc import Sequence

from cnnsweep.analysis.baseline import is_praised
from cnnsweep.analysis.intervals import ends_text
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import Difference, difference, more_seeds
from cnnsweep.analysis.trials import Trial, fold_overlap, replicate_words, trial_words
from cnnsweep.formatting.numbers import count_text, metric_text

TIED_SHOWN = 3  # trials that are named as tied; the table marks all
FEW_SEEDS = 3  # with fewer, the deviation and every forecast from it are a guess
EXACT_SEEDS = 20  # up to this number of seeds the forecast is exact
MANY_SEEDS = 100
CANNOT_TELL = "Certainty of the best: unknown; this needs two trials with two seeds each, none failed."


def significance_words(results: Results, trials: Sequence[Trial]) -> list[str]:
    """Return the lead of the best trial and its certainty in words.

    Nothing with fewer than two trials, or if the best is no better than a constant answer.
    """
    known = [trial for trial in trials if trial.estimate is not None]
    if len(known) < 2 or not is_praised(results, trials):
        return []
    rivals = _judged(trials)
    if rivals is None:
        return [CANNOT_TELL]
    best, second, judged = rivals
    found = difference(best.figures, second.figures, fold_overlap(results))
    tied = [trial for trial in judged if trial.tied and trial is not best]
    so_far = "" if results.sweep.status == "finished" else "so far "
    words = f"{trial_words(results, best)} {so_far}"
    if not tied:
        return [f"{words}is ahead of the second, {_ahead_words(results, best, second, found)}."]
    lines = [f"{words}is statistically tied with {_tied_words(results, tied, len(judged) - 1)}."]
    if found.mean == 0:
        return [*lines, f"Its mean is that of the second, {trial_words(results, second)}."]
    lines.append(
        f"It is ahead of the second, {_ahead_words(results, best, second, found)}; "
        f"{_more_words(best, found, len(judged))}."
    )
    return lines


def short_significance_words(results: Results, trials: Sequence[Trial]) -> str | None:
    """Return it in half a line: `statistically tied with 6 of 8 others; 55 % sure to beat the second`."""
    rivals = _judged(trials) if is_praised(results, trials) else None
    if rivals is None:
        return None
    best, second, judged = rivals
    found = difference(best.figures, second.figures, fold_overlap(results))
    tied = sum(trial.tied is True for trial in judged) - 1
    others = len(judged) - 1
    by = {1: "the only other", 2: "both others"}.get(others, f"all {others:,} others")
    by = by if tied == others else f"{tied:,} of {others:,} others"
    so_far = "" if results.sweep.status == "finished" else " so far"
    parts = [(f"statistically tied with {by}" if tied else "ahead of all others") + so_far]
    sure = _sure(results, found)
    if sure is not None:
        parts.append(f"{_percent(sure)} sure to beat the second")
    return "; ".join(parts)


def _judged(trials: Sequence[Trial]) -> tuple[Trial, Trial, list[Trial]] | None:
    """Return the best, the second, and all comparable trials; None if the best is not comparable."""
    judged = [trial for trial in trials if trial.estimate is not None and trial.tied is not None]
    best = next((trial for trial in trials if trial.estimate is not None), None)
    if best is None or best.tied is None or len(judged) < 2:
        return None
    return best, judged[1] if judged[0] is best else judged[0], judged


def _tied_words(results: Results, tied: Sequence[Trial], others: int) -> str:
    if len(tied) > TIED_SHOWN:
        return f"all {len(tied):,} others" if len(tied) == others else f"{len(tied):,} of {others:,} others"
    return f"{count_text(len(tied), 'other')}: {', '.join(trial_words(results, trial) for trial in tied)}"


def _sure(results: Results, found: Difference) -> float | None:
    return found.sure if found.sure is None or results.sweep.objective.mode == "max" else 1 - found.sure


def _ahead_words(results: Results, best: Trial, second: Trial, found: Difference) -> str:
    objective = results.sweep.objective
    metric, sign = objective.metric, 1 if objective.mode == "max" else -1
    words = f"{trial_words(results, second)}, by {metric_text(metric, sign * found.mean)}"
    sure = _sure(results, found)
    if found.low is None or found.high is None or sure is None:
        return words
    low, high = sorted((sign * found.low, sign * found.high))
    if found.pairs is None:
        basis = f"{len(best.figures):,} and {count_text(len(second.figures), 'run')}, not in pairs"
    else:
        basis = f"{replicate_words(key for key in best.figures if key in second.figures)} in pairs"
    return f"{words} (95 % interval {ends_text(metric, low, high, -1.0)}, {basis}): {_percent(sure)} sure"


def _percent(sure: float) -> str:
    if sure == 1:
        return "100 %"
    return "over 99.9 %" if sure > 0.999 else f"{sure * 100:.1f} %" if sure > 0.99 else f"{sure * 100:.0f} %"


def _more_words(best: Trial, found: Difference, judged: int) -> str:
    """Return an estimate of the number of further seeds that would separate the first two."""
    count = len(best.figures) if found.pairs is None else found.pairs
    more = more_seeds(found, count)
    if more == 0:
        return f"but among {judged:,} trials the best can lead by this much through chance"
    if count < FEW_SEEDS:
        return f"{count:,} are too few to estimate how many more would separate the first two"
    if more is None and found.overlap:
        return "more seeds on the same folds would not separate the first two"
    if more is None:
        return "no practical number of seeds would separate the first two"
    folds = len({fold for _, fold in best.figures if fold is not None}) or 1
    seeds = -(-more // folds)
    if seeds > MANY_SEEDS:
        return "it would take hundreds of seeds to separate the first two"
    rounded = seeds if seeds <= EXACT_SEEDS else -(-seeds // 10) * 10
    return f"about {count_text(rounded, 'more seed')} would separate the first two"

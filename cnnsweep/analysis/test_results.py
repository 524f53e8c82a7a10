"""Test metrics, apart from the metrics that selected trials."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from cnnsweep.analysis.intervals import ends_text, mean_text
from cnnsweep.analysis.results import Results, TestResult
from cnnsweep.analysis.statistics import estimate, wilson
from cnnsweep.analysis.trials import Trial, fold_overlap, replicate_words, trial_words
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, metric_text
from cnnsweep.metrics.names import ACCURACY, is_on_validation, without_prefix

TRIALS_SHOWN = 5
_REFIT = ", retrained on all training images"


def tests_by_trial(results: Results) -> dict[str, list[TestResult]]:
    """Return the recorded tests by trial, in the file's order."""
    found: dict[str, list[TestResult]] = {}
    for test in results.tests:
        found.setdefault(test.trial_id, []).append(test)
    return found


def tested(results: Results, trials: Sequence[Trial]) -> RenderableType | None:
    """Return the tested trials, the best first, or None without tests."""
    tests = tests_by_trial(results)
    if not tests:
        return None
    ranked = [trial for trial in trials if trial.trial_id in tests]
    lines: list[RenderableType] = [Text("Tested", "bold")]
    for trial in ranked[:TRIALS_SHOWN]:
        place = "" if trial.place is None else f"{trial.place}  "
        lines.append(Text(f"{place}{trial_words(results, trial)}"))
        facts = [f"selected on {selected_words(results, trial)}"]
        facts += tested_words(results, latest_tests(tests[trial.trial_id]))
        lines += [Padding(Text(fact), (0, 0, 0, 3)) for fact in facts]
    if len(ranked) > TRIALS_SHOWN:
        lines.append(Text(f"… and {count_text(len(ranked) - TRIALS_SHOWN, 'trial')} more", "dim"))
    unknown = len(tests) - len(ranked)
    if unknown:
        lines.append(Text(f"{count_text(unknown, 'tested trial')} no longer in the sweep", "dim"))
    if len(tests) > 1:
        warning = (
            f"{len(tests):,} trials were tested: the best of several tests is optimistic; report the best trial by "
        )
        lines.append(Text(f"{warning}validation.", "magenta"))
    return Group(*lines)


def latest_tests(tests: Sequence[TestResult]) -> list[TestResult]:
    """Return each run's last test; repeated tests of the same weights add nothing."""
    return list({(test.run, test.refit, test.tta): test for test in tests}.values())


def tested_words(results: Results, tests: Sequence[TestResult]) -> list[str]:
    """Return one line for the tested runs, and one for retrained ones; the mean of several runs.

    Those with test-time augmentation have lines of their own.
    """
    facts = []
    ways = sorted({(test.refit, test.tta or "") for test in tests})
    for part in [[test for test in tests if (test.refit, test.tta or "") == way] for way in ways]:
        if len(part) < 2 or len({test.images for test in part}) > 1:
            facts += [f"tested: {test_words(test, deciding_of(results, [test]))}" for test in part]
            continue
        found = estimate([test.accuracy for test in part], fold_overlap(results))
        low, high = (metric_text("accuracy", end([test.accuracy for test in part])) for end in (min, max))
        days = sorted({safe_text(test.time.partition("T")[0]) for test in part})
        decides = deciding_of(results, part)
        deciding = "" if decides is None else f"{_mean_words(results, part, decides)}, "
        accuracy = (
            f"accuracy {mean_text('accuracy', found)}, mean of {count_text(len(part), 'run')} from {low} to {high}"
        )
        how = f"{_tta(part[0])}{_REFIT if part[0].refit else ''}"
        images = f"{count_text(part[0].images, 'test image')}{how}, looked at {days[-1]}"
        facts.append(f"tested: {deciding}{accuracy}; {images}")
    return facts


def selected_words(results: Results, trial: Trial) -> str:
    """Return the metric by which the trial was selected, `val_accuracy 0.8941 (validation images, 5 seeds)`."""
    metric = results.sweep.objective.metric
    if trial.estimate is None:
        return f"{metric}(not measured)"
    images = "validation images" if is_on_validation(metric) else "training images"
    over = f", {replicate_words(trial.figures)}" if trial.estimate.count > 1 else ""
    return f"{metric} {metric_text(metric, trial.estimate.mean)} ({images}{over})"


def deciding_of(results: Results, tests: Sequence[TestResult]) -> str | None:
    """Return the metric that decides, if it is not the accuracy and all tests have it."""
    name = without_prefix(results.sweep.objective.metric)
    return name if name != ACCURACY and all(name in test.values for test in tests) else None


def _mean_words(results: Results, tests: Sequence[TestResult], metric: str) -> str:
    found = estimate([test.values[metric] for test in tests], fold_overlap(results))
    return f"{metric} {mean_text(metric, found)}"


def test_words(test: TestResult, decides: str | None) -> str:
    """Return `accuracy 0.9050 (95 % 0.8991 to 0.9106, 10,000 test images, weights of run-1), looked at 2026-11-21`.

    Args:
        decides: the metric that comes first, if it is another.
    """
    low, high = wilson(test.correct, test.images)
    interval = f"95 % {metric_text('accuracy', low)} to {metric_text('accuracy', high)}"
    refit = _REFIT if test.refit else f", weights of {safe_text(test.run)}"
    day = safe_text(test.time.partition("T")[0])
    accuracy = metric_text("accuracy", test.accuracy)
    first = "" if decides is None else f"{_value_words(test, decides)}, "
    images = f"{count_text(test.images, 'test image')}{_tta(test)}"
    return f"{first}accuracy {accuracy} ({interval}, {images}{refit}), looked at {day}"


def _tta(test: TestResult) -> str:
    return "" if test.tta is None else f" with tta {safe_text(test.tta)}"


def _value_words(test: TestResult, metric: str) -> str:
    ends = test.intervals.get(metric)
    interval = "" if ends is None else f" (95 % {ends_text(metric, *ends)})"
    return f"{metric} {metric_text(metric, test.values[metric])}{interval}"

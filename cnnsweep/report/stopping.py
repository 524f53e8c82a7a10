"""Early stopping in the terminal: stops by epoch, and the best stopped trials."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.chart_stopping import StoppedTrial, StoppingChart
from cnnsweep.formatting.columns import Column, build_table
from cnnsweep.formatting.numbers import align_points, count_text, short_name

TRIALS_SHOWN = 3  # number of best stopped trials
COMFORTABLE_WORDS = 40  # characters; beyond them, the pruner's reason is omitted
EPOCHS_SHOWN = 6  # lines, one for each epoch after which trials were stopped


def stopping_table(chart: StoppingChart, width: int) -> RenderableType:
    """Return the saving, the stops by epoch, and the best of the stopped trials."""
    title = Text.assemble(("Early stopping", "bold"), (f"  {chart.rule}" if chart.rule else "", "dim"))
    lines: list[RenderableType] = [title, Text(chart.saving)]
    first, later = chart.stops[:EPOCHS_SHOWN], chart.stops[EPOCHS_SHOWN:]
    lines += [Text(one.count_text + (f" ({one.against})" if one.against else "")) for one in first]
    if later:
        count = count_text(sum(len(one.stopped) for one in later), "trial")
        lines.append(Text(f"{count} stopped later, after epochs {later[0].epoch} to {later[-1].epoch}"))
    lines += [Text(), build_table(_columns(chart.metric, chart.best[:TRIALS_SHOWN]), width)]
    rest = len(chart.best) - TRIALS_SHOWN
    if rest > 0:
        lines.append(Text(f"… and {rest:,} more: --run NAME shows each", "dim"))
    return Group(*lines)


def _columns(metric: str, shown: Sequence[StoppedTrial]) -> list[Column]:
    def right(header: str, texts: Sequence[str], drop: int) -> Column:
        return Column(header, [Text(text) for text in align_points(texts)], drop)

    words = [Text(one.words) for one in shown]
    reasons = [Text(one.rule, "dim") for one in shown]
    return [
        right("epoch", [str(one.epoch) for one in shown], 1),
        right(short_name(metric), [one.value for one in shown], 0),
        right("needed", [one.threshold for one in shown], 2),
        Column("trial", words, drop=1, justify="left", narrowest=12, comfortable=COMFORTABLE_WORDS),
        Column("reason", reasons, drop=7, justify="left"),
    ]

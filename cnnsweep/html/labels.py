"""Table by label, and images with wrong labels, on the page."""

import base64
from collections.abc import Sequence

from cnnsweep.analysis.confusion import IMAGES
from cnnsweep.analysis.label_rows import HEADINGS, label_rows
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.html.chart import DataTable
from cnnsweep.html.evaluations import Evaluated
from cnnsweep.html.markup import path, text
from cnnsweep.html.sections import scrolled, table_markup


def labels_section(evaluated: Evaluated) -> str:
    """Return the table of the first run with several labels an image; empty without one."""
    for name, one in evaluated:
        if isinstance(one, Labelled) and (rows := label_rows(one)):
            words = (
                f"{name} on {one.total:,} {IMAGES[one.split]}, the hardest label first. Scores are at the thresholds, "
                "which were chosen on validation images; AP is the average precision over all thresholds."
            )
            table = table_markup(DataTable(list(HEADINGS), rows))
            return f"<p>{text(words)}</p>{scrolled('Scores by label', table)}"
    return ""


def label_images(name: str, split: str, wrong: Sequence[WrongImage]) -> str:
    """Return images with the labels that are missed and invented."""
    words = (
        f"{IMAGES[split].capitalize()} with the most certain wrong labels of {name}, in turns of one from each label: "
        "labels that the image has, and those that are missed and invented."
    )
    return f'<p>{text(words)}</p><div class="images">{"".join(map(_label_image, wrong))}</div>'


def _label_image(image: WrongImage) -> str:
    sure = "" if image.probability is None else f" ({image.probability * 100:.0f} %)"
    parts = (("missed", image.missed), ("invented", image.invented))
    wrong = "; ".join(f"{kind} {', '.join(names)}" for kind, names in parts if names)
    source = base64.b64encode(image.png).decode("ascii")
    words = f"{image.name}: {image.label}; {wrong}{sure}"
    return (
        f'<figure><img src="data:image/png;base64,{source}" alt="{text(words)}" '
        f"loading=lazy><figcaption>{path(image.name)}: {text(image.label)} <span>{text(wrong)}{text(sure)}</span>"
        "</figcaption></figure>"
    )

"""Images that a run gets wrong, on the page."""

import base64
from collections.abc import Sequence

from cnnsweep.analysis.confusion import IMAGES
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.run_evaluation import RunEvaluation, WrongImage
from cnnsweep.formatting.numbers import count_text
from cnnsweep.html.evaluations import Evaluated
from cnnsweep.html.markup import path, text

_SHOWN = 24


def images_section(evaluated: Evaluated) -> str:
    """Return images that the best evaluated run gets wrong; empty if none are kept."""
    for name, one in evaluated:
        if shown := one.wrong[:_SHOWN]:
            return _of_labels(name, one, shown) if isinstance(one, Labelled) else _by_class(name, one, shown)
    return ""


def _by_class(name: str, one: RunEvaluation, shown: Sequence[WrongImage]) -> str:
    mistakes = {counts.name: counts.images - counts.correct for counts in one.by_class}
    groups = []
    for label in one.classes:
        if images := [image for image in shown if image.label == label]:
            words = f"{len(images):,} of {count_text(mistakes[label], 'wrong image')}."
            figures = [_figure(image, f"{image.label}, taken for", "→", image.predicted) for image in images]
            groups.append(f"<h3>{text(label)}</h3><p>{text(words)}</p>{_row(figures)}")
    words = (
        f"{IMAGES[one.split].capitalize()} that {name} takes for another class, by true class, the most confident "
        "mistakes of each class: file → predicted class."
    )
    return f"<p>{text(words)}</p>{''.join(groups)}"


def _of_labels(name: str, one: RunEvaluation, shown: Sequence[WrongImage]) -> str:
    words = (
        f"{IMAGES[one.split].capitalize()} with the most certain wrong labels of {name}, in turns of one from each "
        "label: labels that the image has, and those that are missed and invented."
    )
    figures = []
    for image in shown:
        kinds = (("missed", image.missed), ("invented", image.invented))
        wrong = "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds if names)
        figures.append(_figure(image, f"{image.label};", "", wrong, before=f": {image.label}"))
    return f"<p>{text(words)}</p>{_row(figures)}"


def _row(figures: Sequence[str]) -> str:
    return f'<div class="images">{"".join(figures)}</div>'


def _figure(image: WrongImage, spoken: str, sign: str, wrong: str, before: str = "") -> str:
    """Return an image with its caption.

    Args:
        spoken: what its alternative text has before what is wrong, in place of `before` and `sign`.
    """
    sure = "" if image.probability is None else f" ({image.probability * 100:.0f} %)"
    source = base64.b64encode(image.png).decode("ascii")
    said = text(f"{image.name}: {spoken} {wrong}{sure}")
    caption = f"{path(image.name)}{text(before)} <span>{text(f'{sign} {wrong}{sure}'.strip())}</span>"
    return (
        f'<figure><img src="data:image/png;base64,{source}" alt="{said}" loading=lazy>'
        f"<figcaption>{caption}</figcaption></figure>"
    )

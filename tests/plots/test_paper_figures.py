import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image
from results_by_hand import load, make_content, make_replicates, stop_run

from cnnsweep.analysis.results import Results
from cnnsweep.errors import FolderError, UsageError
from cnnsweep.plots import save as writing
from cnnsweep.plots.save import make_drawings, write_figures
from cnnsweep.plots.style import COLUMN, DPI, FORMATS, SCALE, SLIDE, Drawing, readable_on, render

matplotlib = pytest.importorskip("matplotlib")

NAMES = (
    "learning_curves", "effects", "importance", "accuracy_against_time", "heat_map", "class_accuracy",
    "confusion_matrix",
)  # fmt: skip
HOSTILE = "\x1b\u202e$x_{ </text><script>"


def evaluation(run: str, classes: list[str]) -> str:
    """Of each class 8 images in 10 are recognised; the others are taken for the next class."""
    count = len(classes)
    confusion = [[8 if x == y else 2 if x == (y + 1) % count else 0 for x in range(count)] for y in range(count)]
    return json.dumps(
        {"version": 1, "run": run, "split": "test", "accuracy": 0.8, "loss": 0.6, "classes": classes,
         "confusion": confusion, "wrong": []}
    )  # fmt: skip


def with_evaluation(results: Results, classes: list[str]) -> Results:
    folder = results.folder / str(results.sweep.best)
    folder.mkdir()
    (folder / "evaluation.json").write_text(evaluation(str(results.sweep.best), classes))
    return results


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Results:
    """12 trials of long names and values, and an evaluation of the best."""
    content = make_content(
        {"lr": [0.1, 0.01, 0.001], "a_hyperparameter_of_a_long_name": [False, True], "optimizer": ["adam", "sgd"]}, 4
    )
    stop_run(content, 12, 2, 0.5, 0.6, 3)
    folder = tmp_path_factory.mktemp("figures") / "grid"
    return with_evaluation(load(folder, content), ["T-shirt/top", "trouser", "coat", "a class of a very long name"])


@pytest.fixture(scope="module")
def written(grid, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("figures") / "written"
    assert write_figures(grid, folder).left_out == {}
    return folder


def axes_of(drawing: Drawing | None):
    """Draw for a column of a paper and return the axes."""
    from matplotlib.figure import Figure

    assert drawing is not None
    figure = Figure()
    drawing.draw(figure, COLUMN)
    return figure.axes[0]


def test_every_figure_is_written_for_paper_and_slide_as_png_and_svg(written):
    expected = {f"{form.name}/{name}.{ending}" for form in FORMATS for name in NAMES for ending in ("png", "svg")}
    assert {str(path.relative_to(written)) for path in written.rglob("*.*")} == expected | {"captions.md"}
    captions = (written / "captions.md").read_text()
    assert captions.count("**") == 2 * len(NAMES)
    assert "**learning curves**: Validation accuracy (%) by epoch, the best 5 of 12 trials." in captions


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("name", NAMES)
def test_png_has_the_width_of_its_use_and_nothing_is_cut_off(written, name, form):
    with Image.open(written / form.name / f"{name}.png") as image:
        assert image.width == round(form.width * DPI)
        assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
        pixels = image.convert("L")
    # What is cut off reaches the edge; the figures leave a margin all around.
    edges = [(0, 0, pixels.width, 3), (0, pixels.height - 3, pixels.width, pixels.height),
             (0, 0, 3, pixels.height), (pixels.width - 3, 0, pixels.width, pixels.height)]  # fmt: skip
    assert [pixels.crop(edge).getextrema() for edge in edges] == [(255, 255)] * 4


def svg_texts(path: Path) -> list[str]:
    root = ElementTree.fromstring(path.read_text())
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_svg_has_its_text_as_text_with_units(written):
    labels = {
        "learning_curves": ["epoch", "validation accuracy (%)"],
        "accuracy_against_time": ["training time of a run (s)", "validation accuracy (%)"],
        "importance": ["importance (%)"],
        "heat_map": ["validation accuracy (%)"],
        "class_accuracy": ["recall, precision (%)", "recall", "precision", "trouser (10)"],
        "confusion_matrix": ["predicted class", "true class of 40 test images", "images of the class (%)"],
    }
    for name, expected in labels.items():
        assert set(expected) <= set(svg_texts(written / "column" / f"{name}.svg")), name


def test_same_sweep_gives_same_bytes(grid):
    drawing = make_drawings(grid)["learning curves"]
    assert drawing is not None
    assert render(drawing, COLUMN) == render(drawing, COLUMN)


def test_learning_curves_show_the_mean_and_a_band_over_seeds(tmp_path):
    content = make_replicates({"lr": [0.1, 0.01]}, {1: [0.8, 0.82, 0.87], 2: [0.5, 0.6, 0.7]})
    axes = axes_of(make_drawings(load(tmp_path, content))["learning curves"])
    lines = {line.get_label()[0]: list(line.get_ydata()) for line in axes.get_lines()}
    # Epoch 2 holds the figures, epoch 1 what is 0.05 below.
    assert lines["1"] == pytest.approx([78.0, 83.0])
    assert lines["2"] == pytest.approx([55.0, 60.0])
    bands = [(band.get_datalim(axes.transData).y0, band.get_datalim(axes.transData).y1) for band in axes.collections]
    assert sorted(bands) == [pytest.approx((45.0, 70.0)), pytest.approx((75.0, 87.0))]
    styles = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.get_lines()]
    assert all(first != second for first, second in zip(*styles, strict=True))  # any one of them tells them apart


def test_effects_are_differences_to_the_best_value_with_intervals(tmp_path):
    content = make_replicates({"lr": [0.1, 0.01]}, {1: [0.80, 0.82, 0.87], 2: [0.50, 0.54, 0.55]})
    axes = axes_of(make_drawings(load(tmp_path, content))["effects"])
    points = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.get_lines()[1:] if len(line.get_xdata()) == 1}
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["lr", "0.01", "0.1"]
    assert points == {1: pytest.approx(-30.0), 2: 0.0}
    (interval,) = [list(line.get_xdata()) for line in axes.get_lines()[1:] if len(line.get_xdata()) == 2]
    # Pairs differ by 0.30, 0.28 and 0.32: s = 0.02, t(0.975, 2) = 4.3027, so ± 0.04968.
    assert interval == pytest.approx([-34.968, -25.032], abs=1e-3)


def test_time_figure_joins_what_nothing_else_is_better_and_faster_than(tmp_path):
    content = make_content({"lr": [1, 2, 3, 4]}, epochs=2)
    for run, seconds, accuracy in zip(content["runs"], (240.0, 480.0, 360.0, 120.0), (0.7, 0.9, 0.6, 0.5), strict=True):
        run.update(run_duration=seconds, val_accuracy=accuracy)
    axes = axes_of(make_drawings(load(tmp_path, content))["metric against time"])
    steps = next(line for line in axes.get_lines() if line.get_drawstyle() == "steps-post")
    assert list(steps.get_xdata()) == [2.0, 4.0, 8.0]
    assert list(steps.get_ydata()) == pytest.approx([50.0, 70.0, 90.0])
    assert axes.get_xlabel() == "training time of a run (min)"


def test_heat_map_is_of_the_means_of_the_two_that_matter_most(tmp_path):
    # A step along lr costs 0.01, along batch_size 0.001, along shuffle 0.0001.
    axes = axes_of(make_drawings(load(tmp_path, make_content()))["heat map"])
    assert {axes.get_xlabel(), axes.get_ylabel()} == {"lr", "batch_size"}
    assert axes.get_images()[0].get_array().ravel().tolist() == pytest.approx([78.995, 79.995, 78.895, 79.895])
    assert {text.get_text() for text in axes.texts} == {"79.0", "80.0", "78.9", "79.9"}


def test_confusion_matrix_and_classes_are_in_percent(grid):
    drawings = make_drawings(grid)
    matrix = axes_of(drawings["confusion matrix"])
    assert matrix.get_images()[0].get_array()[0].tolist() == [80, 20, 0, 0]
    assert sorted(text.get_text() for text in matrix.texts) == ["20\n(2)"] * 4 + ["80\n(8)"] * 4
    points = [line for line in axes_of(drawings["accuracy by class"]).get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in points] == [80.0] * 4


def test_hostile_names_are_drawn_as_they_are_written(tmp_path):
    content = make_content({"lr": [0.1, 0.01], "optimizer": [HOSTILE, "sgd"], HOSTILE: [1, 2]})
    results = with_evaluation(load(tmp_path / "sweep", content), [HOSTILE, "$", "$$", "\\frac"])
    texts = []
    for name, drawing in make_drawings(results).items():
        if drawing is not None:
            (tmp_path / f"{name}.svg").write_bytes(render(drawing, COLUMN)["svg"])
            texts += svg_texts(tmp_path / f"{name}.svg")
            assert "<script" not in (tmp_path / f"{name}.svg").read_text()
    assert any("\\x1b\\u202e$x_{ </text>" in text for text in texts)
    assert "\\frac" in texts
    assert not any("\x1b" in text or "\u202e" in text for text in texts)


def test_small_sweep_leaves_out_what_it_has_not_enough_for(tmp_path):
    done = write_figures(load(tmp_path / "one", make_content({"lr": [0.1]}, epochs=1)), tmp_path / "out")
    assert [path.name for path in done.files] == ["captions.md"]
    assert done.left_out["learning curves"] == "needs a trial of two epochs"
    assert set(done.left_out) == set(make_drawings(load(tmp_path / "one", make_content({"lr": [0.1]}, epochs=1))))


def test_missing_matplotlib_is_one_sentence(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(writing.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"^--figures: needs matplotlib: pip install 'cnnsweep\[report\]'$"):
        write_figures(grid, tmp_path)


def test_folder_that_cannot_be_written_is_named(grid, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="file"):
        write_figures(grid, tmp_path / "file")


def test_persons_own_matplotlib_settings_change_nothing(grid):
    drawing = make_drawings(grid)["effects"]
    assert drawing is not None
    usual = render(drawing, SLIDE)
    with matplotlib.rc_context({"font.size": 40, "axes.facecolor": "black", "text.usetex": True, "savefig.dpi": 10}):
        assert render(drawing, SLIDE) == usual


@pytest.mark.parametrize("share", [n / 20 for n in range(21)])
def test_figures_on_a_heat_map_can_be_read(share):
    from matplotlib import colormaps

    def luminance(colour):
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    text = {"black": 0.0, "white": 1.0}[readable_on(SCALE, share)]
    low, high = sorted([text, luminance(colormaps[SCALE](share))])
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG's limit for text


@pytest.mark.parametrize(("metric", "mode", "best"), [("val_accuracy", "max", 90.0), ("val_loss", "min", 0.6)])
def test_the_best_cell_of_a_heat_map_is_the_lightest(tmp_path, metric, mode, best):
    content = make_content({"lr": [0.01, 0.001], "batch_size": [100, 1000]})
    for number, run in enumerate(content["runs"]):  # both figures fall from run to run, from 0.9 to 0.6
        run.update(val_accuracy=0.9 - number / 10, val_loss=0.9 - number / 10)
    content["sweep"].update(metric=metric, mode=mode)
    image = axes_of(make_drawings(load(tmp_path, content))["heat map"]).images[0]
    values = image.get_array()
    lightness = image.to_rgba(values)[..., :3].sum(-1)
    assert values.flatten()[lightness.argmax()] == pytest.approx(best)

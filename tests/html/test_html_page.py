"""The page without a browser: its content, its figures, and that nothing in it becomes markup."""

import html.parser
import itertools
import json
import re
import sys
from pathlib import Path

import pages_by_hand
import pytest
from pages_by_hand import HOSTILE, grid_page, hostile_page, large_page, seeds_page
from results_by_hand import load, make_content

from cnnsweep import cli
from cnnsweep.html import plotly_file
from cnnsweep.html.markup import chart_text, embedded_json
from cnnsweep.html.page import render_page, write_page
from cnnsweep.html.run_table import run_table

ELEMENTS = {"script", "img", "a", "b"}


class Page(html.parser.HTMLParser):
    """Which elements a page has, and what is in its JSON scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._is_script = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._is_script = tag == "script"
        if self._is_script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._is_script = False

    def handle_data(self, data):
        if self._is_script:
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def charts(self) -> dict[str, dict]:
        """The views of each chart by its key."""
        kinds = [attributes.get("type") for attributes in self.of("script")]
        views = [json.loads(text) for kind, text in zip(kinds, self.scripts, strict=True) if kind]
        keys = [attributes["id"] for attributes in self.of("figure") if attributes.get("class") == "chart"]
        return dict(zip([str(key).removeprefix("chart-") for key in keys], views, strict=True))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {"grid": grid_page, "seeds": seeds_page, "hostile": hostile_page}
    return {name: Page(make(folder / name)[1].read_text(encoding="utf-8")) for name, make in made.items()}


def without_colours(value):
    """A figure with a real colour wherever one is named."""
    if isinstance(value, dict):
        return {key: without_colours(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_colours(part) for part in value]
    return "#123456" if isinstance(value, str) and value.startswith(("colour:", "scale:")) else value


def test_summary_says_what_was_swept_which_is_best_how_sure_and_what_next(pages):
    text = pages["grid"].text
    assert "lenet on fashion_mnist: 16 runs: 13 finished, 2 stopped, 1 diverged" in text
    assert "★ lr=0.1, batch_size=100, shuffle=true" in text
    assert "It reached val_accuracy 0.8000 in epoch 3 of 3." in text
    assert "One run per trial: differences may be noise of the seed" in text
    assert "Early stopping saved 3 of 48 epochs" in text
    assert "1 run diverged: exclude these trials, or try a smaller lr" in text
    assert "lr=0.1 is the largest value that was trained (from 0.0001): try larger ones." in text
    assert "cnnsweep evaluate" in text
    seeds = pages["seeds"].text
    assert "val_accuracy 0.8160 ± 0.0142 (95 %), mean of 5 seeds" in seeds
    assert "statistically tied with 1 other" in seeds
    assert "Several trials are tied with the best" in seeds


def test_every_chart_is_there_with_a_sentence_and_figures_that_plotly_takes(pages):
    go = pytest.importorskip("plotly.graph_objects")
    expected = {"learning", "batches", "stopping", "effects", "importance", "interaction", "heat-map", "parallel",
                "cost", "classes", "confusion"}  # fmt: skip
    # In the seeds' grid nothing was stopped, four trials are too few for importance, and all take the same time.
    assert expected - set(pages["grid"].charts()) <= {"cost"}
    assert expected - set(pages["seeds"].charts()) == {"stopping", "importance", "cost"}
    for page in pages.values():
        for key, views in page.charts().items():
            for view in views.values():
                go.Figure(without_colours(view["figure"]))  # raises where a key or value is none of plotly's
                assert view["sentence"].endswith("."), key
                assert key == "parallel" or len(view["table"]["rows"]) > 0, key
                assert all(
                    len(row) == len(view["table"]["headings"]) for row in (view["table"] or {"rows": []})["rows"]
                )


def test_learning_curves_are_means_with_the_range_of_the_seeds(pages):
    traces = pages["seeds"].charts()["learning"]["0"]["figure"]["data"]
    best = next(trace for trace in traces if trace["name"].startswith("1 ") and "fill" not in trace)
    band = next(trace for trace in traces if trace["name"].startswith("1 ") and "fill" in trace)
    assert best["y"] == pytest.approx([0.766, 0.816])  # 0.05 less an epoch before
    assert band["y"] == pytest.approx([0.75, 0.80, 0.83, 0.78])  # there along the lowest, back along the highest
    assert traces[-1] is best  # on top


def test_heat_map_has_every_pair_both_ways_and_means_over_the_rest(pages):
    views = pages["grid"].charts()["heat-map"]
    assert set(views) == {"0,1", "1,0", "0,2", "2,0", "1,2", "2,1"}
    heat = views["0,1"]["figure"]["data"][0]["z"]  # lr across from small to large, batch size up
    assert heat[0][-1] == pytest.approx((0.8 + 0.7999) / 2)
    turned = views["1,0"]["figure"]["data"][0]["z"]
    assert turned == [list(row) for row in zip(*heat, strict=True)]


def test_run_table_links_to_the_folders_that_are_there_from_where_the_page_lies(tmp_path):
    content = make_content()
    results = load(tmp_path / "sweep", content)
    (tmp_path / "sweep" / "run-1").mkdir()
    (tmp_path / "pages").mkdir()
    page = Page(render_page(results, tmp_path / "pages"))
    folders = [link["href"] for link in page.of("a") if not str(link["href"]).startswith("#")]
    assert folders == ["./../sweep/run-1/"]
    assert len(page.of("tr")) > len(content["runs"])
    assert {run["run"] for run in content["runs"]} <= set(page.texts)


def test_reader_is_told_the_environment_the_sweep_file_and_the_command(pages):
    text = pages["grid"].text
    assert "packages torch 2.15.0" in text
    assert "command cnnsweep run 'a b.yaml'" in text
    assert "lr: [0.01, 0.001]" in text
    assert re.search(r"OMP_NUM_THREADS=2 cnnsweep run \S+/grid/sweep\.yaml --out \S+/grid-again", text)


def test_page_has_landmarks_headings_and_alternatives_in_text(pages):
    for page in pages.values():
        tags = [tag for tag, _ in page.elements]
        assert {"header", "nav", "main", "footer", "h1"} <= set(tags)
        assert tags.count("h1") == 1
        assert page.of("html")[0]["lang"] == "en"
        assert all(image["alt"] for image in page.of("img"))
        for drawing in [part for part in page.of("div") if part.get("class") == "drawing"]:
            assert drawing["role"] == "img"
            assert drawing["aria-label"]
        levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_wrong_images_and_classes_of_the_best_evaluated_run_are_shown(pages):
    images = pages["grid"].of("img")
    assert len(images) == 6
    assert images[0]["alt"] == "image 0: T-shirt/top, taken for trouser (90 %)"
    assert images[0]["src"].startswith("data:image/png;base64,")
    classes = pages["grid"].charts()["classes"]["0"]
    assert classes["table"]["headings"][:2] == ["class", "images"]
    hardest = classes["table"]["rows"][0]  # two runs compared
    assert [cell.partition(" (")[0] for cell in hardest] == ["bag", "100", "97.00 %", "96.00 %"]
    assert hardest[2] == "97.00 % (95 % 91.55 to 98.97 %)"  # Wilson, 97 of 100
    assert set(pages["grid"].charts()["classes"]) == {"0", "1", "2"}  # recall, precision, F1
    assert set(pages["grid"].charts()["confusion"]) == {"0,0", "0,1", "1,0", "1,1"}  # of true and of predicted classes


def test_hostile_names_stay_text(pages):
    page = pages["hostile"]
    assert not page.of("b")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.of("img"))
    assert all(str(link["href"]).startswith(("#", "./")) for link in page.of("a"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    kinds = [attributes.get("type") for attributes in page.of("script")]
    assert kinds.count(None) == 2  # plotly, ours
    assert set(kinds) == {None, "application/json"}
    shown = HOSTILE.replace("\u2028", "\\u2028").replace("\u202e", "\\u202e")
    assert f"{shown}" in page.text
    assert "\u202e" not in page.text


def test_plotly_is_given_no_markup_of_a_strangers(pages):
    drawn = json.dumps([view["figure"] for views in pages["hostile"].charts().values() for view in views.values()])
    assert re.findall(r"<(?!br>|extra>|/extra>)", drawn) == []
    assert "\u202e" not in drawn


def test_embedded_json_cannot_end_its_script_and_reads_back():
    value = {"</script>": ["<!--", "&amp;", "\u2028\u2029", "é"]}
    text = embedded_json(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == value
    assert chart_text("<b>&amp;</b>") == "&lt;b&gt;&amp;amp;&lt;/b&gt;"
    assert chart_text("x" * 50, 10) == "x" * 9 + "…"


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`, as WCAG defines it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out_from_their_ground(scheme):
    style = (Path(plotly_file.__file__).parent / "page.css").read_text()
    schemes = dict(zip(("light", "dark"), style.split("@media screen and")[:2], strict=True))
    schemes["dark"] = schemes["dark"].split("\n}\n")[0]  # without what follows, for paper
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", schemes[scheme]))

    def contrast(first: str, second: str) -> float:
        low, high = sorted((luminance(colours[first]), luminance(colours[second])))
        return (high + 0.05) / (low + 0.05)

    for name in ("text", "quiet", "link", "good", "bad"):  # as WCAG asks of text
        assert min(contrast(name, "ground"), contrast(name, "raised")) >= 4.5, name
    for name in (*(f"series-{n}" for n in range(1, 6)), "scale-high"):  # and of graphics
        assert contrast(name, "ground") >= 3, name
    steps = [luminance(colours[f"scale-{name}"]) for name in ("low", "middle", "high")]
    assert steps in (sorted(steps), sorted(steps, reverse=True))


def test_scripts_are_allowed_by_their_hashes_alone(pages):
    policy = next(meta["content"] for meta in pages["grid"].of("meta") if "http-equiv" in meta)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"('sha256-[\w+/]+=*' ?){2}", rules["script-src"])
    assert rules["img-src"] == "data: blob:"


def test_damaged_files_are_told_and_the_rest_is_shown(tmp_path):
    results, page = grid_page(tmp_path / "sweep")
    (tmp_path / "sweep" / "run-1" / "batch_loss.csv").write_text("epoch,step,loss\n1,1,high\n")
    (tmp_path / "sweep" / "run-1" / "evaluation.json").write_text(
        '{"version": 1, "classes": ["a"], "confusion": [[-1]]}'
    )
    (tmp_path / "sweep" / "environment.json").write_text("[")
    write_page(results, page)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "'high' is not a loss" in text
    assert "run-1/evaluation.json" in text
    assert "environment.json:1" in text
    assert "★ lr=0.1" in text


def test_sweep_that_has_only_begun_makes_a_page(tmp_path):
    content = make_content()
    for run in content["runs"]:
        run.update(status="waiting", epochs_done=0, best_epoch=None, checkpoint=None, run_duration=None)
        run.update(loss=None, accuracy=None, val_loss=None, val_accuracy=None)
    content["sweep"].update(status="running", best=None)
    content["epochs"] = []
    page = Page(render_page(load(tmp_path / "sweep", content), tmp_path))
    assert "No run has a metric yet." in page.text
    assert page.charts() == {}


def test_page_of_200_runs_is_under_8_mb_and_of_2000_not_much_more(tmp_path):
    assert large_page(tmp_path / "many", 200)[1].stat().st_size < 8e6
    assert large_page(tmp_path / "more", 2000)[1].stat().st_size < 12e6


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["cnnsweep", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_report_writes_the_page_and_says_where(tmp_path, monkeypatch, capsys):
    load(tmp_path / "sweep", make_content())
    assert call(monkeypatch, "report", tmp_path / "sweep", "--html", tmp_path / "report.html") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"wrote {tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_one_sentence_says_what_to_install_and_no_file_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plotly_file.importlib.util, "find_spec", lambda _name: None)
    load(tmp_path / "sweep", make_content())
    assert call(monkeypatch, "report", tmp_path / "sweep", "--html", tmp_path / "report.html") == 2
    assert "--html needs plotly: pip install 'cnnsweep[report]'" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_page_in_the_place_of_a_folder_or_with_another_format_is_refused(tmp_path, monkeypatch, capsys):
    load(tmp_path / "sweep", make_content())
    assert call(monkeypatch, "report", tmp_path / "sweep", "--html", tmp_path) == 2
    assert "is a folder; name a file" in capsys.readouterr().err
    assert call(monkeypatch, "report", tmp_path / "sweep", "--html", tmp_path / "x.html", "--format", "csv") == 2
    assert call(monkeypatch, "report", tmp_path / "sweep", "--html", tmp_path / "missing" / "x.html") == 3


def test_same_results_make_the_same_page(tmp_path):
    results, page = pages_by_hand.seeds_page(tmp_path / "sweep")
    assert render_page(results, tmp_path) == page.read_text(encoding="utf-8")


def test_runs_that_the_file_no_longer_has_stand_at_the_end_of_the_table(tmp_path):
    content = make_content({"lr": [0.1, 0.01, 0.001]})
    content["runs"][0]["in_file"] = False  # the best by its figures
    content["sweep"]["best"] = "run-2"
    table = run_table(load(tmp_path, content), tmp_path)
    assert re.findall(r"(run-\d)<", table) == ["run-2", "run-3", "run-1"]
    assert "All 3 runs" in table

import csv
import io
import json
from pathlib import Path

import pytest
from results_by_hand import fail_run, load, make_content, make_replicates, stop_run

from cnnsweep.report.export import to_csv, to_json, to_markdown

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\tcmd", "\rcmd"]


def test_markdown_is_a_table_with_the_best_run_in_bold(tmp_path: Path) -> None:
    content = make_content({"lr": [0.01, 0.001], "shuffle": [True]})
    fail_run(content, 2, cause="loss is not finite")
    assert to_markdown(load(tmp_path, content)) == (
        "| # | lr | epoch | best at | loss | accuracy | val_loss | val_accuracy | time | status |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | :--- |\n"
        "| **1** | **0.01** | **3/3** | **3** | **0.5000** | **0.8100** | **0.6000** | **0.8000** | **3.8 s** "
        "| **finished** |\n"
        "| – | 0.001 | 1/3 | – | – | – | – | – | 3.8 s | diverged: loss is not finite |\n"
    )


def test_markdown_shows_markup_of_others_as_it_is(tmp_path: Path) -> None:
    content = make_content({"note": ["a|b", "<img src=x>", "[x](http://y)", "`*\\", "\x1b[31m\n"]})
    lines = to_markdown(load(tmp_path, content)).splitlines()
    assert len(lines) == 7
    assert "| **a\\|b** |" in lines[2]
    assert "| \\<img src=x\\> |" in lines[3]
    assert "| \\[x\\](http://y) |" in lines[4]
    assert "| \\`\\*\\\\ |" in lines[5]
    assert "| '\\\\x1b\\[31m\\\\n' |" in lines[6]


def test_csv_holds_every_column_of_the_ranked_runs(tmp_path: Path) -> None:
    content = make_content({"lr": [0.01, 0.001], "channels": [[6, 12]]})
    content["runs"][0]["val_accuracy"] = 0.1
    rows = list(csv.DictReader(io.StringIO(to_csv(load(tmp_path, content)))))
    assert [row["run"] for row in rows] == ["run-2", "run-1"]
    assert list(rows[0]) == [
        "rank", "run", "id", "configuration", "fold", "status", "failure", "cause", "epochs_done", "epochs_planned",
        "best_epoch", "loss", "accuracy", "val_loss", "val_accuracy", "run_duration", "parameters", "checkpoint",
        "in_file", "stop_epoch", "stop_value",
        "stop_threshold", "stop_compared", "stop_rule", "is_better_than_baseline",
            "lr", "channels", "epochs", "optimizer",
    ]  # fmt: skip
    assert (rows[1]["rank"], rows[1]["val_accuracy"], rows[1]["cause"], rows[1]["lr"]) == ("2", "0.1", "", "0.01")
    assert rows[0]["channels"] == "[6, 12]"


def test_csv_neutralises_formulas_in_texts_but_never_touches_numbers(tmp_path: Path) -> None:
    content = make_content({"note": [*HOSTILE, "fine"], "shift": [-1.5]})
    rows = list(csv.DictReader(io.StringIO(to_csv(load(tmp_path, content)))))
    assert [row["note"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\\tcmd", "'\\rcmd", "fine"]
    assert {row["shift"] for row in rows} == {"-1.5"}


def test_json_holds_the_plain_values(tmp_path: Path) -> None:
    content = make_content({"note": [*HOSTILE, "\x9b数\u202e"]})
    content["runs"][0]["loss"] = None
    text = to_json(load(tmp_path, content))
    assert text.isascii()
    rows = json.loads(text)["runs"]
    assert [row["note"] for row in rows] == [*HOSTILE, "\x9b数\u202e"]
    expected = content["runs"][0]
    stop = dict.fromkeys(["stop_epoch", "stop_value", "stop_threshold", "stop_compared", "stop_rule"])
    new = {"epochs_planned": 3, "in_file": True, "is_better_than_baseline": None}
    more = {"rank": 1, "configuration": expected["id"], "fold": None, "failure": None, **new}
    assert rows[0] == {**more, **stop, **expected}
    assert rows[0]["loss"] is None


def test_top_and_sort_hold_for_every_format(tmp_path: Path) -> None:
    results = load(tmp_path, make_content({"lr": [3, 1, 2]}))
    assert [row["lr"] for row in json.loads(to_json(results, top=2, sort="lr"))["runs"]] == [1, 2]
    # The rank stays the place by the metric.
    assert [row["rank"] for row in json.loads(to_json(results, top=2, sort="lr"))["runs"]] == [2, 3]
    assert len(to_csv(results, top=2, sort="lr").splitlines()) == 3
    assert len(to_markdown(results, top=2, sort="lr").splitlines()) == 4
    assert len(json.loads(to_json(results, top=0))["runs"]) == 3


def test_replicates_have_a_row_each_with_what_their_setting_reached(tmp_path: Path) -> None:
    content = make_replicates({"lr": [0.1, 0.01]}, {1: [0.9, 0.92], 2: [0.5, 0.51]})
    stop_run(content, 4, 1, 0.51, 0.6, 2)
    results = load(tmp_path, content)
    rows = json.loads(to_json(results))["runs"]
    assert [(row["run"], row["configuration"], row["setting_place"], row["setting_tied"]) for row in rows] == [
        ("run-2", "c1", 1, True), ("run-1", "c1", 1, True), ("run-4", "c2", 2, False), ("run-3", "c2", 2, False),
    ]  # fmt: skip
    best = rows[0]
    assert (best["setting_mean"], best["setting_runs"]) == (pytest.approx(0.91), 2)
    assert best["setting_low"] == pytest.approx(0.91 - 12.7062 * 0.01, abs=1e-5)  # t with 1 degree of freedom
    assert best["setting_high"] == pytest.approx(0.91 + 12.7062 * 0.01, abs=1e-5)
    assert (rows[2]["stop_epoch"], rows[2]["stop_threshold"], rows[2]["stop_rule"]) == (1, 0.6, "top 1/3 at epoch 1")
    assert next(csv.DictReader(io.StringIO(to_csv(results)))).keys() == best.keys()
    lines = to_markdown(results).splitlines()
    assert "| mean val_accuracy | 95 % | tied with best |" in lines[0]
    assert "| **0.9100** | **0.7829 to 1.0000** | **yes** |" in lines[2]
    assert "| no | 1.2 s | stopped: top 1/3 at epoch 1 |" in lines[4]

"""TensorBoard's HPARAMS table of a sweep, as its own plugin reads it: every column of one kind, so that it can sort."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from small_sweeps import SilentDisplay, sweep, tables
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

from cnnsweep.trackers.tensorboard_hparams import Kind, kind_of

HEAD = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [2, 2], hidden: []}
tensorboard: {histograms: false, graph: false, images: false, batch_loss: false}
"""
# As a person writes it: a kernel size for all layers, or one each.
KERNELS = HEAD + "params: {epochs: 1, batch_size: 60, model.kernel_size: [3, [5, 3]]}\n"


def table_of(folder: Path) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The columns' types and each run's values, after a click on every heading, twice, which sorts by it.

    What the plugin raises here is what the browser gets as HTTP 500.
    """
    multiplexer = EventMultiplexer(tensor_size_guidance={"hparams": 0}).AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    backend = backend_context.Context(TBContext(data_provider=provider))
    request_context = context.RequestContext()
    wish = api_pb2.GetExperimentRequest()
    experiment = get_experiment.Handler(request_context, backend, "", wish).run()
    json.loads(MessageToJson(experiment))
    types = {one.name: api_pb2.DataType.Name(one.type).removeprefix("DATA_TYPE_") for one in experiment.hparam_infos}
    orders = [(None, api_pb2.ORDER_UNSPECIFIED)]
    orders += [(name, order) for name in types for order in (api_pb2.ORDER_ASC, api_pb2.ORDER_DESC)]
    rows: dict[str, dict[str, Any]] = {}
    for by, order in orders:
        request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=99)
        request.allowed_statuses.extend(range(4))
        for name in types:
            request.col_params.add(hparam=name, order=order if name == by else api_pb2.ORDER_UNSPECIFIED)
        found = list_session_groups.Handler(request_context, backend, "", request).run()
        groups = json.loads(MessageToJson(found))["sessionGroups"]
        rows = {group["name"]: group["hparams"] for group in groups}
    return types, rows


def by_setting(folder: Path, name: str) -> tuple[str, dict[str, Any]]:
    """A column's type, and what it shows of each run, by the value in results.json."""
    types, rows = table_of(folder)
    runs = {row["run"]: row[name] for row in tables(folder)["runs"]}
    assert rows.keys() == runs.keys()
    return types[name], {json.dumps(value): rows[run].get(name) for run, value in runs.items()}


def test_numbers_beside_lists_are_texts_in_every_row(tmp_path):
    sweep(tmp_path, KERNELS)
    assert by_setting(tmp_path, "model.kernel_size") == ("STRING", {"3": "3", "[5, 3]": "[5, 3]"})


NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes, knob):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(144, num_classes))
    def forward(self, x):
        return self.layers(x)
"""


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ("[null, 3, 4]", ("FLOAT64", {"null": None, "3": 3, "4": 4})),
        ("[true, false]", ("BOOL", {"true": True, "false": False})),
        ("[true, 1, 2]", ("STRING", {"true": "true", "1": "1", "2": "2"})),
        ("['3', 3]", ("STRING", {'"3"': "'3'", "3": "3"})),
        ("[{a: 1}, 2]", ("STRING", {'{"a": 1}': "{a: 1}", "2": "2"})),
        ("[\u6570, 1]", ("STRING", {'"\\u6570"': "\u6570", "1": "1"})),
    ],
)
def test_other_mixes_are_one_kind_too(tmp_path, values, column):
    (tmp_path / "net.py").write_text(NET)
    text = HEAD.replace("{name: cnn, channels: [2, 2], hidden: []}", f"{{name: '{tmp_path}/net.py:Net'}}")
    sweep(tmp_path / "s", text + f"params: {{epochs: 1, batch_size: 60, model.knob: {values}}}\n")
    assert by_setting(tmp_path / "s", "model.knob") == column


def test_a_search_knows_the_kind_before_it_has_drawn_both(tmp_path):
    class Interrupt(SilentDisplay):
        def epoch_ended(self, record: Any, selected: Any) -> None:
            raise KeyboardInterrupt

    text = KERNELS + "search: {method: random, runs: 2}\n"
    sweep(tmp_path, text, Interrupt())
    assert set(table_of(tmp_path)[0].values()) >= {"STRING"}
    sweep(tmp_path, text)
    assert by_setting(tmp_path, "model.kernel_size") == ("STRING", {"3": "3", "[5, 3]": "[5, 3]"})


def test_rows_of_runs_that_trained_before_a_value_of_another_kind_came_follow(tmp_path):
    sweep(tmp_path, KERNELS.replace("[3, [5, 3]]", "[3, 1]"))
    assert by_setting(tmp_path, "model.kernel_size") == ("FLOAT64", {"3": 3, "1": 1})
    sweep(tmp_path, KERNELS.replace("[3, [5, 3]]", "[3, 1, [5, 3]]"))
    assert by_setting(tmp_path, "model.kernel_size") == ("STRING", {"3": "3", "1": "1", "[5, 3]": "[5, 3]"})
    assert {row["status"] for row in tables(tmp_path)["runs"]} == {"finished"}


def test_what_is_not_finite_is_a_text():
    """The plugin cannot write an infinite number, and leaves such cells out."""
    assert kind_of([1.0, float("inf")]) is Kind.TEXT
    assert kind_of([10**400]) is Kind.TEXT  # no float is as large
    assert kind_of([1.0, 2, None]) is Kind.NUMBER
    assert kind_of([None]) is Kind.NUMBER
    assert kind_of(["x" * 100_000]) is Kind.TEXT

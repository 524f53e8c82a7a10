"""Every example of `docs/own-code.md` trains, alone and fused, with equal results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from added_components import BASE, metrics

import cnnsweep
from cnnsweep.config.yaml import read_yaml

PAGE = (Path(__file__).parent.parent / "docs" / "own-code.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(# (\w+\.py)\n.*?)```\s+```yaml\n(.*?)```", PAGE, re.DOTALL)
NAMES = [re.findall(r"\.py:(\w+)", text)[0] for *_, text in EXAMPLES]


def test_every_block_of_the_page_is_an_example():
    assert len(EXAMPLES) * 2 == PAGE.count("```") / 2
    assert len(EXAMPLES) >= 13


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_example_trains_alone_and_fused(example, tmp_path, monkeypatch):
    code, file, text = example
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text(code)
    keys = read_yaml(text, "page").value
    seeds = {} if "search" in keys else {"seed": [0, 1]}
    spec = {**BASE, **keys, "params": {"batch_size": 16, "epochs": 2, **seeds, **keys.get("params", {})}}
    sweeps = [
        cnnsweep.run(spec, folder=tmp_path / f"{fuse}", device="cpu", fuse=fuse, quiet=True) for fuse in ("off", 8)
    ]
    ends = {"finished", "stopped"} if keys.keys() & {"callbacks", "early_stop"} else {"finished"}
    assert set(sweeps[0].runs["status"]) <= ends
    for alone, fused in zip(*map(metrics, sweeps), strict=True):
        assert fused == pytest.approx(alone, rel=1e-9)

"""Groups are cut so that every place has work, and keep what belongs together."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_groups import make_run

from cnnsweep.planning.batching import runs_of_a_kind, split_lockstep
from cnnsweep.planning.scheduling import Job
from cnnsweep.planning.split_jobs import cut
from cnnsweep.types import RunGroup


def load(name: str, runs: int, seconds: float | None, threads: int = 1) -> Job:
    return Job(RunGroup.of([(make_run(f"{name}{number}"),) for number in range(runs)], threads), seconds)


def sizes(jobs):
    return [len(one.group.trajectories) for one in jobs]


def makespan(seconds, slots):
    ends = [0.0] * slots
    for cost in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)


def test_a_group_is_cut_into_as_many_parts_as_there_are_places():
    parts = cut([load("a", 16, 16.0)], 2, lockstep=False)
    assert sizes(parts) == [8, 8]
    assert [part.seconds for part in parts] == pytest.approx([8.8, 8.8])  # smaller programs are less efficient
    assert sizes(cut([load("a", 16, 16.0)], 3, lockstep=False)) == [5, 5, 6]
    assert sizes(cut([load("a", 3, 16.0)], 8, lockstep=False)) == [1, 1, 1]
    assert sizes(cut([load("a", 2, None)], 2, lockstep=False)) == [1, 1]


def test_cutting_goes_on_where_several_cuts_are_needed():
    parts = cut([load("a", 9, 10.0), load("b", 9, 10.0)], 3, lockstep=False)
    assert makespan([part.seconds for part in parts], 3) < 8.5  # four halves on three places end hardly before 10


def test_only_what_ends_last_is_cut():
    assert sizes(cut([load(name, 8, 10.0) for name in "abc"], 2, lockstep=False)) == [8, 8, 4, 4]
    assert sizes(cut([load(name, 8, 10.0) for name in "abcd"], 2, lockstep=False)) == [8] * 4
    assert sizes(cut([load(name, 8, 10.0) for name in "abcd"], 8, lockstep=False)) == [4] * 8
    even = [load("long", 8, 10.0), *(load(f"short{number}-", 1, 1.0) for number in range(10))]
    assert cut(even, 2, lockstep=False) == even


def test_one_place_leaves_everything_as_it_is():
    jobs = [load("a", 8, 10.0), load("b", 1, 1.0)]
    assert cut(jobs, 1, lockstep=False) == jobs
    assert cut([], 4, lockstep=False) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0.5, 50)), min_size=1, max_size=12), st.integers(1, 12))
def test_every_run_is_kept_once_in_its_order_and_the_whole_ends_no_later(spec, slots):
    jobs = [load(f"{number}-", runs, seconds) for number, (runs, seconds) in enumerate(spec)]
    parts = cut(jobs, slots, lockstep=False)
    assert [run.id for part in parts for run in part.group.runs] == [r.id for one in jobs for r in one.group.runs]
    before, after = (makespan([one.seconds for one in some], slots) for some in (jobs, parts))
    assert after <= before + 1e-9
    assert len(parts) >= min(slots, sum(runs for runs, _ in spec))


def in_step_group(trial_ids: str, seeds: int, folds=(0, 1), threads: int = 1) -> RunGroup:
    runs = [
        make_run(f"{c}{seed}{fold}", trial_id=c, lr=n + 1.0, seed=seed, fold=fold)
        for n, c in enumerate(trial_ids)
        for seed in range(seeds)
        for fold in folds
    ]
    (group,) = split_lockstep(runs_of_a_kind(runs, {}), len(runs), threads)
    return group


def programs(jobs):
    return [[" ".join(run.id for (run,) in program) for program in one.group.programs] for one in jobs]


def test_in_step_every_configuration_stays_whole():
    parts = cut([Job(in_step_group("abc", seeds=2), 12.0)], 2, lockstep=True)
    assert programs(parts) == [["a00 a10", "a01 a11"], ["b00 c00 b10 c10", "b01 c01 b11 c11"]]
    many = cut([Job(in_step_group("abc", seeds=2), 12.0)], 9, lockstep=True)
    assert [{run.trial_id for run in one.group.runs} for one in many] == [{"a"}, {"b"}, {"c"}]


def test_parts_of_a_group_on_several_threads_use_as_many():
    parts = cut([load("a", 8, 8.0, threads=2)], 2, lockstep=False)
    assert programs(parts) == [["a0 a1", "a2 a3"], ["a4 a5", "a6 a7"]]
    assert all(part.group.is_threaded for part in parts)
    alone = cut([load("a", 2, 8.0, threads=2)], 2, lockstep=False)
    assert (programs(alone), [one.group.is_threaded for one in alone]) == ([["a0"], ["a1"]], [False, False])
    lockstep = cut([Job(in_step_group("ab", seeds=2, threads=2), 8.0)], 2, lockstep=True)
    assert [{run.trial_id for run in one.group.runs} for one in lockstep] == [{"a"}, {"b"}]
    assert all(one.group.is_threaded == (len(one.group.programs) > 1) for one in lockstep)


def test_thousands_of_groups_are_cut_in_a_moment():
    jobs = [load(f"{number}-", 2, 1.0 + number % 7) for number in range(2000)]
    parts = cut(jobs, 512, lockstep=False)
    assert makespan([part.seconds for part in parts], 512) <= makespan([one.seconds for one in jobs], 512)

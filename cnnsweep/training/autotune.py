"""Autotuning: measure for a few seconds on the actual device how many runs train fastest together."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.seeding import kept_generators
from cnnsweep.training.data_module import DataModule, training_batches
from cnnsweep.training.flops import flop_of_step, matrix_product_rate
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import Learner, SingleLearner, forward_seed
from cnnsweep.training.precision import autocast, weight_dtype
from cnnsweep.training.trainer import build_learners
from cnnsweep.types import Run, RunGroup, even_sizes

BUDGET_SHARE = 0.01  # maximum share of the runs' time alone that goes into measuring
_LEAST_BUDGET_S = 0.5  # below, little can be measured, so shorter sweeps spend a larger share
_SHORT_SHARE = 0.02  # maximum of that share
_MOST_SHARE = 0.05  # minimum: a single comparison, if it fits into this share
_LEAST_GAIN = 1.1  # required gain of a group over its runs alone: smaller gains may be noise
_CLEAR_GAIN = 1.05  # required gain of one way to train together over another
_BUSY_SHARE = 0.6  # share of the cores' peak rate: if a run alone reaches it, a group is hardly faster
_CLEAR_LOSS = 1.5  # a group slower by this factor is not tried at a smaller size
_ROUNDS = 5
_WARM_UP = 6  # maximum number of steps until the allocator has all its pages
_HALVINGS = 2  # maximum number of smaller groups to try
_STEPS_ON_A_THREAD = 3
_STEPS_ALONE = 3
_FEWEST_STEPS = 3
# Images of a batch: more cost proportionally, alone and together; fewer are not representative.
_IMAGES, _FEWEST_IMAGES, _PROBE_IMAGES = 256, 32, 8
_COUNTED_IMAGES = 2  # enough images for batch normalisation


@dataclass(frozen=True, slots=True)
class FusionPlan:
    """A way to train runs.

    Attributes:
        size: number of runs that train together, from 1.
        threads: number of learners, each on one thread of the CPU; 1 is one learner that uses all threads.
    """

    size: int
    threads: int = 1


ALONE = FusionPlan(1)


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The measured steps of runs with one batch key.

    Attributes:
        way: the fastest plan.
        why: the reason in words.
        alone_s, together_s: seconds per training step of one run; the latter by plan.
    """

    way: FusionPlan
    why: str
    alone_s: float | None = None  # None where nothing was measured
    together_s: Mapping[FusionPlan, float] = field(default_factory=dict)

    @property
    def step_s(self) -> float | None:
        """Seconds per training step of one run, in the chosen plan."""
        return self.alone_s if self.way.size == 1 else self.together_s.get(self.way)


TOO_SHORT = TuningResult(ALONE, "measuring a group would take too long")


def autotune(runs: Sequence[Run], epochs: int, task: DataModule, most: int) -> TuningResult:
    """Measure steps of training alone and together, alternately.

    Args:
        runs: runs with one batch key, one per trajectory; runs with the same batches are neighbours.
        epochs: total number of epochs to train.
        most: maximum number of runs that train together.

    Returns:
        The fastest plan.

    Raises:
        FusionError: the model cannot be fused.
    """
    images_trained_on = len(task.part(runs[0]).training)
    batch_size = min(runs[0].hyperparameters.batch_size, images_trained_on)
    size = _affordable_size(runs, epochs, task, most)
    if size < 2:
        return TOO_SHORT
    fewest = min(_FEWEST_IMAGES, batch_size)
    with kept_generators(task.device):
        image_s = _seconds_an_image(runs[0], task)
        all_s = image_s * images_trained_on * epochs
        budget, affordable = _budget_s(all_s), _MOST_SHARE * all_s
        largest = min(batch_size, _IMAGES)
        # The shortest comparison takes half of the budget, so that there is time for several rounds.
        images = max(fewest, min(int(budget / 2 / _least_cost(FusionPlan(size), image_s)), largest))
        # A whole batch shows the rate of the cores with this model, if there is time for it.
        shown = largest if (_STEPS_ALONE + 1) * largest * image_s < budget else images
        alone = _Stepper(runs[:1], task, shown)
        alone_s = min(alone.seconds() for _ in range(_STEPS_ALONE))
        if (busy := alone.share_of_rate(alone_s)) >= _BUSY_SHARE:
            why = f"each keeps the cores busy alone ({busy:.0%} of a matrix product's rate)"
            return TuningResult(ALONE, why, alone_s / shown * batch_size)
        if shown > images:
            alone = _Stepper(runs[:1], task, images)
            alone_s = min(alone.seconds() for _ in range(_STEPS_ALONE))
        # More images per step cost less each than the few of the guess, so this estimate of the runs' time is better.
        budget = min(budget, _budget_s(alone_s / images * images_trained_on * epochs))
        deadline, at_last = (time.perf_counter() + seconds for seconds in (budget, affordable))
        measured: dict[FusionPlan, float] = {}
        draws = False

        def measure(way: FusionPlan) -> bool:
            """Return True if there was time."""
            nonlocal alone_s, draws
            if way.size < 2 or way in measured:
                return False
            # If nothing has gained yet, another plan may gain more than its measurement costs.
            until = deadline if min(measured.values(), default=alone_s) < alone_s else at_last
            if time.perf_counter() + _least_cost(way, alone_s) > until:
                return False
            stepper = _Stepper(runs[: way.size], task, images, way.threads)
            alone_s, measured[way] = _compare(alone, stepper, way.size, deadline)
            draws = draws or stepper.draws_random_numbers
            return True

        if measure(FusionPlan(size)):
            threads = 1 if draws else _usable_threads(task)
            if 1 < threads <= size:
                if measured[FusionPlan(size)] < _CLEAR_LOSS * alone_s:
                    measure(FusionPlan(size, threads))
                if min(measured.values()) > alone_s:
                    measure(FusionPlan(threads, threads))  # each run by itself, on its own thread
            for _ in range(_HALVINGS):
                best = min(measured, key=lambda way: measured[way])
                if measured[best] > alone_s or not measure(FusionPlan(-(-best.size // 2), best.threads)):
                    break
    share = images / batch_size
    return decide(len(runs), alone_s / share, {way: seconds / share for way, seconds in measured.items()})


def decide(runs: int, alone_s: float, together_s: Mapping[FusionPlan, float]) -> TuningResult:
    """Return the fastest plan for this number of runs; of plans without a clear difference, the first measured.

    Args:
        alone_s, together_s: see `TuningResult`.
    """
    if not together_s:
        return replace(TOO_SHORT, alone_s=alone_s)

    def seconds(way: FusionPlan) -> float:
        """Return the seconds of a step of all runs; a group of an unmeasured size counts like the next larger one."""
        total = 0.0
        for size in even_sizes(runs, way.size):
            larger = [w for w in together_s if w.threads == way.threads and w.size >= size]
            total += size * (alone_s if size == 1 else together_s[min(larger, key=lambda w: w.size)])
        return total

    best, *others = together_s
    for way in others:
        if seconds(way) * _CLEAR_GAIN < seconds(best):
            best = way
    gain = runs * alone_s / seconds(best)
    if gain < _LEAST_GAIN:
        why = f"a group would take {1 / gain:.1f} times as long" if gain < 0.95 else "a group would hardly be faster"
        return TuningResult(ALONE, why, alone_s, together_s)
    return TuningResult(best, f"{gain:.1f} times as fast as alone", alone_s, together_s)


def _budget_s(alone_s: float) -> float:
    """Return the budget of measuring in seconds, given the seconds of the runs alone."""
    return max(BUDGET_SHARE * alone_s, min(_LEAST_BUDGET_S, _SHORT_SHARE * alone_s))


def _affordable_size(runs: Sequence[Run], epochs: int, task: DataModule, most: int) -> int:
    """Return the number of runs in the largest affordable comparison; 1 means none.

    Alone, every image takes the same time, so this needs no measurement.

    Args:
        runs, epochs, most: see `autotune`.
    """
    images = len(task.part(runs[0]).training)
    fewest = min(_FEWEST_IMAGES, runs[0].hyperparameters.batch_size, images)
    size = min(len(runs), most)
    while size > 1 and _least_cost(FusionPlan(size), fewest) > _MOST_SHARE * images * epochs:
        size = -(-size // 2) if size > 2 else 1
    return size


def _usable_threads(task: DataModule) -> int:
    """Return the number of learners that may train in parallel."""
    if task.device.type != "cpu" or not isinstance(task.images, MemoryImages):
        return 1
    return torch.get_num_threads()


def seconds_together(runs: Sequence[Run], task: DataModule, measuring_s: float = 0.05) -> float:
    """Return the seconds per training step and run, with all runs in one learner, or of a run alone.

    Args:
        measuring_s: duration of the measurement; at least a few steps run.

    Raises:
        FusionError: the model cannot be fused.
    """
    with kept_generators(task.device):
        batch_size = min(runs[0].hyperparameters.batch_size, len(task.part(runs[0]).training))
        images = min(batch_size, _IMAGES)
        together = _Stepper(runs, task, images)
        together.seconds()
        # The first third of the remaining time still warms up caches.
        deadline = time.perf_counter() + measuring_s
        steps: list[float] = []
        while len(steps) < _FEWEST_STEPS or time.perf_counter() < deadline:
            steps.append(together.seconds())
        steady = steps[len(steps) // 3 :]
    return statistics.median(steady) / len(runs) * batch_size / images


def seconds_alone(run: Run, task: DataModule, budget_s: float) -> float:
    """Return the seconds per training step of a run alone, measured for about the given seconds."""
    with kept_generators(task.device):
        batch_size = min(run.hyperparameters.batch_size, len(task.part(run).training))
        affordable = int(budget_s / (_ROUNDS + 1) / _seconds_an_image(run, task))
        images = min(batch_size, _IMAGES, max(affordable, _FEWEST_IMAGES))
        alone = _Stepper([run], task, images)
        alone.seconds()
        deadline = time.perf_counter() + budget_s
        steps = [alone.seconds()]
        while len(steps) < _ROUNDS and time.perf_counter() < deadline:
            steps.append(alone.seconds())
    return statistics.median(steps) * batch_size / images


def guess_alone(run: Run, task: DataModule) -> float:
    """Return an estimate of `seconds_alone`, rather too high, from two steps of a few images."""
    with kept_generators(task.device):
        return _seconds_an_image(run, task) * min(run.hyperparameters.batch_size, len(task.part(run).training))


def _seconds_an_image(run: Run, task: DataModule) -> float:
    """Return a cheap first guess of the seconds per image in a training step of a run alone."""
    images = min(run.hyperparameters.batch_size, len(task.part(run).training), _PROBE_IMAGES)
    alone = _Stepper([run], task, images)
    alone.seconds()  # one-time work
    return alone.seconds() / images


def _least_cost(way: FusionPlan, alone_s: float) -> float:
    """Return the seconds of the shortest comparison, for a group that is no faster than its runs alone."""
    steps = _STEPS_ON_A_THREAD if way.threads > 1 else 1
    return (2 * steps * way.size + 4) * alone_s


class _Stepper:
    """A group that repeats the same training step on some images of a batch."""

    def __init__(self, runs: Sequence[Run], task: DataModule, images: int, threads: int = 1) -> None:
        self._runs, self._task = runs, task
        self._programs = build_learners(RunGroup.of([(run,) for run in runs], threads), task)
        self._batches = self._programs.map(lambda _, part: (*_first_images(runs[part], task, images), part))
        self._steps = _STEPS_ON_A_THREAD if threads > 1 else 1  # threads synchronise after an epoch, not a step
        self._wait: Callable[[], None] = {
            "cuda": lambda: torch.cuda.synchronize(task.device),
            "mps": torch.mps.synchronize,
        }.get(task.device.type, lambda: None)

    def seconds(self) -> float:
        """Return the seconds of a step of all runs."""
        self._wait()
        start = time.perf_counter()
        self._programs.map(self._train)
        self._wait()
        return (time.perf_counter() - start) / self._steps

    @property
    def draws_random_numbers(self) -> bool:
        """True if a fused model of the group draws random numbers in training."""
        programs = self._programs.map(lambda program, _: program)
        return any(isinstance(one, FusedLearner) and one.model.draws_random_numbers for one in programs)

    def share_of_rate(self, seconds: float) -> float:
        """Return the share of a large matrix product's rate that a step of one run reaches on a CPU; 0 elsewhere."""
        (program,) = self._programs.map(lambda program, _: program)
        if self._task.device.type != "cpu" or not isinstance(program, SingleLearner):
            return 0.0  # on a GPU, convolutions and products may use units of different speed
        precision, images = self._task.precision, self._batches[0][0]
        few = images[:_COUNTED_IMAGES].to(program.dtype, memory_format=program.order)
        with autocast(self._task.device, precision):
            flop = flop_of_step(program.model, few) / len(few) * len(images)
        dtype = torch.bfloat16 if precision == "bf16" else weight_dtype(precision)
        return flop / seconds / matrix_product_rate(dtype)

    def _train(self, program: Learner, part: slice) -> None:
        runs = self._runs[part]
        images, labels = next(batch for batch in self._batches if batch[2] == part)[:2]
        rates = [0.0] * len(runs)  # keeps weights in a normal range of floats
        for _ in range(self._steps):
            program.train_step(images.clone(), labels, rates, [forward_seed(run, 1, 0) for run in runs])


def _compare(alone: _Stepper, together: _Stepper, size: int, deadline: float) -> tuple[float, float]:
    """Return the seconds per step of one run, alone and together, measured alternately.

    The time together is the median alone, divided by a gain that three of four rounds reached: a group must be reliably
    faster, and on a busy machine single measurements mean little.
    """
    previous = together.seconds()
    for _ in range(_WARM_UP):
        seconds = together.seconds()
        if seconds > 0.9 * previous or time.perf_counter() > deadline:
            break
        previous = seconds
    of_alone: list[float] = []
    gains: list[float] = []
    while len(gains) < _ROUNDS and (not gains or time.perf_counter() < deadline):
        # A few steps alone for each step together, so that each kind has warm caches.
        of_alone.append(statistics.median(alone.seconds() for _ in range(min(size, 4))))
        gains.append(of_alone[-1] * size / together.seconds())
    alone_s = statistics.median(of_alone)
    return alone_s, alone_s / sorted(gains)[len(gains) // 4]


def _first_images(runs: Sequence[Run], task: DataModule, count: int) -> tuple[Tensor, Tensor]:
    images, labels = next(training_batches(task, runs, [1] * len(runs)))
    return images[:count], labels[:, :count]

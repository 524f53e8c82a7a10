"""A few seconds on the actual device decide how many runs train together, and whether that is faster than alone."""

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

BUDGET_SHARE = 0.01  # of the time that the runs would take alone, at most, goes into measuring
_LEAST_BUDGET_S = 0.5  # below, little can be measured, so shorter sweeps give a larger share
_SHORT_SHARE = 0.02  # but no more than this
_MOST_SHARE = 0.05  # and a single comparison, if it is to be had for this
_LEAST_GAIN = 1.1  # a group must be this much faster than its runs alone: below, noise may have decided
_CLEAR_GAIN = 1.05  # and one way to train together than another
_BUSY_SHARE = 0.6  # of what the cores can do at most: where a run alone reaches it, a group is hardly faster
_CLEAR_LOSS = 1.5  # a group this many times slower is not tried smaller
_ROUNDS = 5
_WARM_UP = 6  # steps until the allocator has all its pages, at most
_HALVINGS = 2  # how often a smaller group is tried
_STEPS_ON_A_THREAD = 3
_STEPS_ALONE = 3
_FEWEST_STEPS = 3
# Of a batch: larger ones cost their share more, alone and together alike; smaller ones say little of it.
_IMAGES, _FEWEST_IMAGES, _PROBE_IMAGES = 256, 32, 8
_COUNTED_IMAGES = 2  # enough for batch normalisation


@dataclass(frozen=True, slots=True)
class FusionPlan:
    """A way to train runs.

    Attributes:
        size: how many train together, from 1.
        threads: in how many programs, each on one thread of the CPU; 1 is one program that uses all threads.
    """

    size: int
    threads: int = 1


ALONE = FusionPlan(1)


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The measured steps of runs of one batch key.

    Attributes:
        way: the fastest.
        why: in words.
        alone_s, together_s: seconds a training step of one run; by the way.
    """

    way: FusionPlan
    why: str
    alone_s: float | None = None  # None where nothing was measured
    together_s: Mapping[FusionPlan, float] = field(default_factory=dict)

    @property
    def step_s(self) -> float | None:
        """Seconds a training step of one run, in the way that was chosen."""
        return self.alone_s if self.way.size == 1 else self.together_s.get(self.way)


TOO_SHORT = TuningResult(ALONE, "measuring whether a group is faster would take too long")


def autotune(runs: Sequence[Run], epochs: int, task: DataModule, most: int) -> TuningResult:
    """Measure steps of training alone and together, in turn.

    Args:
        runs: those of one kind, one a trajectory; those that see the same batches side by side.
        epochs: how many all of them have to train, in sum.
        most: how many may train together.

    Returns:
        The fastest way.

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
        # Half of the budget buys the shortest comparison, so that there is time for some rounds.
        images = max(fewest, min(int(budget / 2 / _least_cost(FusionPlan(size), image_s)), largest))
        # A whole batch shows the rate that the cores reach with this model, if it is affordable.
        shown = largest if (_STEPS_ALONE + 1) * largest * image_s < budget else images
        alone = _Stepper(runs[:1], task, shown)
        alone_s = min(alone.seconds() for _ in range(_STEPS_ALONE))
        if (busy := alone.share_of_rate(alone_s)) >= _BUSY_SHARE:
            why = f"each keeps the cores busy alone ({busy:.0%} of a matrix product's rate)"
            return TuningResult(ALONE, why, alone_s / shown * batch_size)
        if shown > images:
            alone = _Stepper(runs[:1], task, images)
            alone_s = min(alone.seconds() for _ in range(_STEPS_ALONE))
        # More images a step cost less each than the few of the guess, so this estimates the runs' time better.
        budget = min(budget, _budget_s(alone_s / images * images_trained_on * epochs))
        deadline, at_last = (time.perf_counter() + seconds for seconds in (budget, affordable))
        measured: dict[FusionPlan, float] = {}
        draws = False

        def measure(way: FusionPlan) -> bool:
            """Return whether there was time."""
            nonlocal alone_s, draws
            if way.size < 2 or way in measured:
                return False
            # Where nothing has gained yet, another way may gain more than looking at it costs.
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
                    measure(FusionPlan(threads, threads))  # each run by itself, on a thread of its own
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
        """Return what a step of all runs takes; a group of a size that was not measured goes like the next larger."""
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
    """Return the seconds that measuring may take, given the seconds of the runs alone."""
    return max(BUDGET_SHARE * alone_s, min(_LEAST_BUDGET_S, _SHORT_SHARE * alone_s))


def _affordable_size(runs: Sequence[Run], epochs: int, task: DataModule, most: int) -> int:
    """Return how many of the runs a comparison may have that costs no more than its share of their time; 1 is none.

    Alone, every image takes equally long, so nothing has to be measured for it.

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
    """Return how many programs may train side by side."""
    if task.device.type != "cpu" or not isinstance(task.images, MemoryImages):
        return 1
    return torch.get_num_threads()


def seconds_together(runs: Sequence[Run], task: DataModule, measuring_s: float = 0.05) -> float:
    """Return the seconds that a training step of one of these runs takes, all in one program, or of a run alone.

    Args:
        measuring_s: how long steps are taken; a few are, however long they take.

    Raises:
        FusionError: the model cannot be fused.
    """
    with kept_generators(task.device):
        batch_size = min(runs[0].hyperparameters.batch_size, len(task.part(runs[0]).training))
        images = min(batch_size, _IMAGES)
        together = _Stepper(runs, task, images)
        together.seconds()
        # The first third of what is left after that still warms caches up.
        deadline = time.perf_counter() + measuring_s
        steps: list[float] = []
        while len(steps) < _FEWEST_STEPS or time.perf_counter() < deadline:
            steps.append(together.seconds())
        steady = steps[len(steps) // 3 :]
    return statistics.median(steady) / len(runs) * batch_size / images


def seconds_alone(run: Run, task: DataModule, budget_s: float) -> float:
    """Return the seconds that a training step of a run takes by itself, measured in about as many as are given."""
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
    """Return about what `seconds_alone` would, rather more, from two steps of a few images."""
    with kept_generators(task.device):
        return _seconds_an_image(run, task) * min(run.hyperparameters.batch_size, len(task.part(run).training))


def _seconds_an_image(run: Run, task: DataModule) -> float:
    """Return about how long a training step of a run takes alone, for each image: a first, cheap guess."""
    images = min(run.hyperparameters.batch_size, len(task.part(run).training), _PROBE_IMAGES)
    alone = _Stepper([run], task, images)
    alone.seconds()  # what is done once only
    return alone.seconds() / images


def _least_cost(way: FusionPlan, alone_s: float) -> float:
    """Return the seconds that the shortest comparison takes, of a group that is no faster than its runs alone."""
    steps = _STEPS_ON_A_THREAD if way.threads > 1 else 1
    return (2 * steps * way.size + 4) * alone_s


class _Stepper:
    """A group that takes the same training step, on some images of a batch, again and again."""

    def __init__(self, runs: Sequence[Run], task: DataModule, images: int, threads: int = 1) -> None:
        self._runs, self._task = runs, task
        self._programs = build_learners(RunGroup.of([(run,) for run in runs], threads), task)
        self._batches = self._programs.map(lambda _, part: (*_first_images(runs[part], task, images), part))
        self._steps = _STEPS_ON_A_THREAD if threads > 1 else 1  # threads meet at the end of an epoch, not of a step
        self._wait: Callable[[], None] = {
            "cuda": lambda: torch.cuda.synchronize(task.device),
            "mps": torch.mps.synchronize,
        }.get(task.device.type, lambda: None)

    def seconds(self) -> float:
        """Return how long a step of all runs takes."""
        self._wait()
        start = time.perf_counter()
        self._programs.map(self._train)
        self._wait()
        return (time.perf_counter() - start) / self._steps

    @property
    def draws_random_numbers(self) -> bool:
        """True if a fused model among the programs does so in training."""
        programs = self._programs.map(lambda program, _: program)
        return any(isinstance(one, FusedLearner) and one.model.draws_random_numbers for one in programs)

    def share_of_rate(self, seconds: float) -> float:
        """Return the share of a large matrix product's rate that a step of one run on a CPU reaches; elsewhere 0."""
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
        rates = [0.0] * len(runs)  # the weights stay where numbers are ordinary
        for _ in range(self._steps):
            program.train_step(images.clone(), labels, rates, [forward_seed(run, 1, 0) for run in runs])


def _compare(alone: _Stepper, together: _Stepper, size: int, deadline: float) -> tuple[float, float]:
    """Return the seconds a step of one run, alone and together, measured in turn.

    Together is the median of alone, divided by a gain that three of four rounds have reached: a group that may be no
    faster is not worth it, and on a machine with other work to do single figures mean little.
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
        # A few steps alone for each one together, so that both have the caches to themselves.
        of_alone.append(statistics.median(alone.seconds() for _ in range(min(size, 4))))
        gains.append(of_alone[-1] * size / together.seconds())
    alone_s = statistics.median(of_alone)
    return alone_s, alone_s / sorted(gains)[len(gains) // 4]


def _first_images(runs: Sequence[Run], task: DataModule, count: int) -> tuple[Tensor, Tensor]:
    images, labels = next(training_batches(task, runs, [1] * len(runs)))
    return images[:count], labels[:, :count]

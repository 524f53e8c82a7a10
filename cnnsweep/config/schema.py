"""Keys of a sweep file (`SweepFile`, `Params`), and the checked sweep (`SweepSpec`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.augment_field import Augment
from cnnsweep.config.averaging_field import EmaField, SwaField
from cnnsweep.config.axis import Axis, MappingAxis, Values
from cnnsweep.config.class_weight_field import ClassWeightField
from cnnsweep.config.component_keys import (
    CALLBACK_LIST,
    DEFAULT_TRACKERS,
    LOSS,
    OPTIMIZER,
    PRUNER,
    SAMPLER,
    SCHEDULE,
    TRACKER_LIST,
)
from cnnsweep.config.component_schema import CLOSED
from cnnsweep.config.conditions import Condition
from cnnsweep.config.dataset_field import DATASET
from cnnsweep.config.metrics_field import METRIC_LIST, DecidingMetric, MetricName, check_columns
from cnnsweep.config.model_entry import MODEL
from cnnsweep.config.top_level_fields import Device, FolderName, Folds, HeldOut, Scope, Seeds
from cnnsweep.config.yaml import Position
from cnnsweep.errors import Problem
from cnnsweep.field_types import (
    JsonSchema,
    LargestNorm,
    Number,
    OneOf,
    Plain,
    Text,
    Whole,
    not_allowed,
)
from cnnsweep.metrics.base import column_of
from cnnsweep.metrics.names import without_prefix
from cnnsweep.metrics.objective import Objective
from cnnsweep.optimizers.base import Flag, Share
from cnnsweep.pruners.base import Pruner
from cnnsweep.samplers.base import Sampler
from cnnsweep.types import (
    BALANCED,
    CONSTANT,
    CROSS_ENTROPY,
    NATURAL,
    UNWEIGHTED,
    Choice,
    ClassWeights,
    DatasetChoice,
    ModelChoice,
)

Rate = Annotated[float, Number(above=0)]
Seed = Annotated[int, Whole(0, 2**63 - 1)]
MODEL_PREFIX, OPTIMIZER_PREFIX, LOSS_PREFIX = "model.", "optimizer.", "loss_function."
# Of keys of `params` that are an argument of another key.
ARGUMENT_PREFIXES = (MODEL_PREFIX, OPTIMIZER_PREFIX, LOSS_PREFIX)


def _axis(description: str, default: Any, *, shown: Any = None) -> Any:
    """Return the field of a key of `params`; `shown` is how a sweep file writes the default."""
    written = default if shown is None else shown
    extra = {} if written is None else {"default": written}
    return Field(default=(default,), description=description, json_schema_extra=extra)


class Params(BaseModel):
    """The hyperparameters: a list is an axis, a mapping may be a distribution, a single value is the same for all runs.

    `model.<argument>`, `optimizer.<argument>` and `loss.<argument>` are keys too; `cross_checks.py` and
    `component_arguments.py` check them against the models, optimizers and losses that are named.
    """

    model_config = CLOSED
    lr: Axis[Rate] = _axis("learning rate", 0.001)
    batch_size: Axis[Annotated[int, Whole(1, 10_000_000)]] = _axis("images in a training step", 128)
    shuffle: Axis[Flag] = _axis("whether each epoch takes the images in a new order", True)
    epochs: Axis[Annotated[int, Whole(1, 1_000_000)]] = _axis("how often each training image is used", 10)
    optimizer: Axis[Annotated[Choice, OPTIMIZER]] = _axis(
        "moves the weights: a name, your own code, or a mapping with arguments", Choice("adam"), shown="adam"
    )
    momentum: Axis[Share] = _axis("momentum of sgd, rmsprop and muon", 0.0)
    nesterov: Axis[Flag] = _axis("whether the momentum of sgd or muon is Nesterov's", False)
    beta1: Axis[Share] = _axis("how slowly the mean gradient of adam and its kin moves", 0.9)
    beta2: Axis[Share] = _axis("how slowly the mean squared gradient of adam and its kin moves", 0.999)
    eps: Axis[Rate] = _axis("what optimizers of adam's kind add to the divisor", 1e-8)
    weight_decay: Axis[Annotated[float | None, Number(least=0)]] = _axis(
        "how strongly weights are pulled to 0; by default 0, for adamw 0.01, for muon 0.1", None
    )
    schedule: Axis[Annotated[Choice, SCHEDULE]] = _axis(
        "learning rate schedule, with warm-up where wanted", CONSTANT, shown="constant"
    )
    loss_function: Axis[Annotated[Choice, LOSS]] = _axis(
        "loss that training makes smaller, and that loss and val_loss are measured by",
        CROSS_ENTROPY,
        shown="cross_entropy",
    )
    class_weight: MappingAxis[Annotated[ClassWeights, ClassWeightField()]] = _axis(
        "weights of the classes in the training loss: none, balanced, sqrt, or a mapping of classes",
        UNWEIGHTED,
        shown="none",
    )
    sampling: Axis[Annotated[str, OneOf((NATURAL, BALANCED))]] = _axis(
        "how often an epoch takes each class: as the images have it, or equally often", NATURAL
    )
    label_smoothing: Axis[Share] = _axis("share of each label that is spread over all classes", 0.0)
    grad_clip: Axis[Annotated[float | None, LargestNorm()]] = _axis(
        "largest norm of the whole gradient, or none", None, shown="none"
    )
    ema: Axis[Annotated[float | None, EmaField()]] = _axis(
        "decay of an exponential moving average of the weights, measured beside them, or none", None, shown="none"
    )
    swa: Axis[Annotated[float | None, SwaField()]] = _axis(
        "last epochs of which the weights are averaged, as a number or a share of all, or none", None, shown="none"
    )
    accumulate: Axis[Annotated[int, Whole(1, 1_000_000)]] = _axis("batches in an optimizer step", 1)
    drop_last: Axis[Flag] = _axis("whether a last batch with fewer images is left out", False)
    freeze_bn: Axis[Flag] = _axis("whether batch-norm layers train in evaluation mode", False)
    dropout: Axis[Annotated[float | None, Number(least=0, below=1)]] = _axis(
        "the model's argument `dropout`, for models that have one", None
    )
    augment: Axis[Annotated[tuple[Choice, ...], Augment()]] = _axis(
        "random changes to training images, joined with +", (), shown="none"
    )
    seed: Axis[Annotated[int | None, Whole(0, 2**63 - 1)]] = _axis(
        "seed of weights, order, dropout and augmentation; by default the sweep's seed", None
    )
    model: Axis[Annotated[ModelChoice | None, MODEL]] = _axis("models to compare; replaces the top-level `model`", None)


_check_columns = partial(check_columns, reserved=frozenset(Params.model_fields))


class TensorBoard(BaseModel):
    """TensorBoard content beside the scalars of each epoch, which are always written."""

    model_config = CLOSED
    batch_loss: Flag = Field(default=True, description="the loss of every batch")
    images: Flag = Field(default=True, description="a grid of training images")
    graph: Flag = Field(default=True, description="the model's graph")
    histograms: Flag = Field(default=True, description="histograms of weights and gradients, each epoch")
    hparams: Flag = Field(default=True, description="the table of hyperparameters and final figures")


class _TensorBoardOrFlag:
    """True or false for everything, or a mapping."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._as_mapping, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"type": "boolean"}, handler(schema)]}

    def _as_mapping(self, value: object) -> object:
        if isinstance(value, dict):
            return value
        flags = {True: True, False: False, "yes": True, "on": True, "no": False, "off": False}
        if not isinstance(value, bool | str) or value not in flags:
            raise not_allowed(value, f"true, false or a mapping of {', '.join(TensorBoard.model_fields)}")
        return dict.fromkeys(TensorBoard.model_fields, flags[value])


class SweepFile(BaseModel):
    """The keys of a sweep file."""

    model_config = CLOSED
    name: Annotated[str, FolderName()] = Field(
        description="the sweep's name, and its folder under runs/", examples=["my_sweep"]
    )
    description: Annotated[str, Text()] = Field(default="", description="what the sweep is for, in your words")
    dataset: Annotated[DatasetChoice, DATASET] = Field(
        description="what to train on: a name, or a mapping with name, normalize and the data set's arguments",
        examples=["shapes"],
    )
    model: Annotated[ModelChoice | None, MODEL] = Field(
        default=None, description="what to train: a name, or a mapping with name and the model's arguments"
    )
    params: Params = Field(default_factory=Params, description="the hyperparameters: a list is an axis of the sweep")
    zip: Plain = Field(default=None, description="axes that move together, as a list of names, or a list of such lists")
    when: Plain = Field(
        default=None, description="for axes that count only under a condition on others, that condition"
    )
    exclude: Plain = Field(default=None, description="combinations to leave out, a list of conditions")
    include: Plain = Field(default=None, description="trials to train beside those, a list of mappings")
    search: Annotated[Sampler | None, SAMPLER] = Field(
        default=None, description="how trials are chosen: grid (all of them), or a sampler such as random or tpe"
    )
    seed: Seed = Field(default=0, description="seed of the validation split, and of the runs that have none")
    seeds: Annotated[int | tuple[int, ...] | None, Seeds()] = Field(
        default=None, description="with how many seeds each trial is trained, or a list of them"
    )
    validation: Annotated[int | float | Folds, HeldOut()] = Field(
        default=0.1,
        description="share or number of training images held out to choose the best epoch and run; 0, or {folds: 5}",
    )
    metrics: Annotated[tuple[Choice, ...], METRIC_LIST, AfterValidator(_check_columns)] = Field(
        default=(), description="further metrics to record: names, path.py:Name, or mappings with name and arguments"
    )
    metric: Annotated[DecidingMetric | None, MetricName(frozenset(Params.model_fields))] = Field(
        default=None,
        description="the metric that decides, any, on validation images where there are any; by default accuracy",
    )
    mode: Annotated[str | None, OneOf(("max", "min"))] = Field(
        default=None, description="whether more or less is better; by default as the metric has it"
    )
    scope: Annotated[str, Scope()] = Field(
        default="best", description="which epochs of a run count: best, last or mean of last K"
    )
    early_stop: Annotated[Pruner | None, PRUNER] = Field(
        default=None, description="the rule that ends runs early, such as halving or median; or none"
    )
    device: Annotated[str, Device()] = Field(default="auto", description="where to train; auto takes a GPU if any")
    precision: Annotated[str, OneOf(("fp32", "bf16", "fp64"))] = Field(
        default="fp32", description="fp32, bf16 for mixed precision in bfloat16, or fp64 for checks"
    )
    tensorboard: Annotated[TensorBoard, _TensorBoardOrFlag()] = Field(
        default_factory=TensorBoard, description="what TensorBoard shows beside the curves: true, false, or a mapping"
    )
    trackers: Annotated[tuple[Choice, ...], TRACKER_LIST] = Field(
        default=DEFAULT_TRACKERS,
        description="programs that show the metrics: a list of names, mappings with options, or your own path.py:Name",
        json_schema_extra={"default": ["tensorboard"]},
    )
    callbacks: Annotated[tuple[Choice, ...], CALLBACK_LIST] = Field(
        default=(),
        description="your own callbacks, which get the events of the sweep: a list of path.py:Name, or mappings",
        json_schema_extra={"default": []},
    )


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """A sweep, checked and complete.

    Attributes:
        model: the top-level model; None where `axes` has the models.
        axes: for each key that stands in the file's `params`, in its order, one value or more, or an `Interval`.
            `model` has `ModelChoice`s; `optimizer`, `schedule` and `loss_function` have `Choice`s, `augment` tuples of
            them; `model.<argument>` and the like plain values.
        zips: axes that move together; an axis stands in one of them at most.
        when: for axes that count only under a condition, that condition.
        exclude: trials for which one of these holds are left out.
        include: trials beside the others; each has a value for every axis.
        search: the sampler; None for a grid.
        seeds: of each trial; empty where `params` or `seed` have them.
        validation: images held out, as a number (int) or as a share (float) of the training images.
        metrics: those recorded beside loss and accuracy, the one that decides among them; the code of one of the
            user's own that decides is a part of every run's id, others change no run.
        places: of each metric in the file, by its column: what messages about it begin with.
        folds: number of parts of the training images, each held out once; None for a single split.
        early_stop: the pruner, if there is one.
        key_places: where the file first names each key of `params`, for messages.
        class_places: where the file names each class of `class_weight`, for messages.
    """

    name: str
    description: str
    dataset_choice: DatasetChoice
    model: ModelChoice | None
    axes: Mapping[str, Values]
    zips: tuple[tuple[str, ...], ...]
    when: Mapping[str, Condition]
    exclude: tuple[Condition, ...]
    include: tuple[Mapping[str, Any], ...]
    search: Sampler | None
    seed: int
    seeds: tuple[int, ...]
    validation: int | float
    folds: int | None
    metric: str
    mode: str
    scope: str
    early_stop: Pruner | None
    device: str
    precision: str
    tensorboard: TensorBoard
    metrics: tuple[Choice, ...] = ()
    trackers: tuple[Choice, ...] = DEFAULT_TRACKERS
    callbacks: tuple[Choice, ...] = ()
    places: Mapping[str, Problem] = field(default_factory=dict, compare=False)
    key_places: Mapping[str, Position] = field(default_factory=dict, compare=False)
    class_places: Mapping[str, Position] = field(default_factory=dict, compare=False)

    @property
    def deciding(self) -> Choice | None:
        """The metric that decides; None for loss and accuracy."""
        own = without_prefix(self.metric)
        return next((choice for choice in self.metrics if column_of(choice) == own), None)

    @property
    def objective(self) -> Objective:
        """Rule that selects the best epoch and the best run."""
        return Objective(self.metric, self.mode, self.scope)

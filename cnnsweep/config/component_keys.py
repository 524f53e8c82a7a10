"""The keys of the sweep file that take a component of a registry; those with rules of their own have modules."""

from cnnsweep.callbacks import CALLBACKS
from cnnsweep.config.component_field import ComponentField, ComponentList, OwnCode, as_component, as_given
from cnnsweep.losses.base import LABEL_SMOOTHING, LOSSES
from cnnsweep.optimizers.base import FLAT, OPTIMIZERS, REFUSED_OPTIMIZERS
from cnnsweep.pruners.base import PRUNERS
from cnnsweep.registry import Component, Registry
from cnnsweep.samplers.base import SAMPLERS
from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.types import Choice

OPTIMIZER = ComponentField(
    OPTIMIZERS, "{name: my.py:Lion, cautious: true}", flat=FLAT, any_case=True, refused=REFUSED_OPTIMIZERS
)
SCHEDULE = ComponentField(SCHEDULES, "{name: cosine, warmup: 2}")
LOSS = ComponentField(
    LOSSES, "{name: my.py:Focal, gamma: 2}", flat=(LABEL_SMOOTHING,), by_name=("torch", "torchvision")
)
SAMPLER = ComponentField(
    SAMPLERS,
    "{method: random, runs: 20}",
    key="method",
    description="how trials are chosen",
    none="grid",
    own=OwnCode.NEEDED,
    build=as_component,
)
PRUNER = ComponentField(
    PRUNERS,
    "{method: halving, factor: 3}",
    key="method",
    description="the rule that ends runs early",
    none="none",
    own=OwnCode.NEEDED,
    build=as_component,
)
TRACKER = ComponentField(
    Registry("tracker", "trackers", Component),  # the package above, which this one does not import, has the base
    "{name: tensorboard, images: false}",
    own=OwnCode.IMPORT,
    build=as_given,
)
CALLBACK = ComponentField(CALLBACKS, "{name: my.py:Notify, every: 5}", own=OwnCode.IMPORT, build=as_given)
CALLBACK_LIST = ComponentList(CALLBACK, "a list of your own callbacks, such as [my.py:Notify]")
TRACKER_LIST = ComponentList(TRACKER, "a list of trackers, such as [tensorboard], or [] for none")
DEFAULT_TRACKERS = (Choice("tensorboard"),)

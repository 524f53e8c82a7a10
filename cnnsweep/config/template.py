"""The sweep file that `cnnsweep init` writes: it runs as it is, and shows every key with a comment."""

import re
from typing import Any

from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.config.dump import flow_yaml
from cnnsweep.config.top_level_fields import FolderName
from cnnsweep.losses.base import LOSSES
from cnnsweep.optimizers.base import OPTIMIZERS
from cnnsweep.registry import Registry
from cnnsweep.schedules.base import SCHEDULES

_TEMPLATE = """\
# A sweep: every combination of the lists under `params` is one run.
#   cnnsweep run FILE --dry-run    shows the runs
#   cnnsweep run FILE              trains them
# Lines that begin with # are off; the values in them are the defaults, unless they say otherwise.

name: {name}  # the sweep's folder under runs/
# description: ""  # what the sweep is for, in your words

{data}
model: {model}  # `cnnsweep models` lists them; your own: path.py:Class
# model:  # a mapping gives arguments, here those of the configurable CNN
#   name: cnn
#   channels: [16, 32]  # one a convolution
#   kernel_size: 3
#   hidden: [64]  # linear layers before the last
#   batch_norm: true
#   dropout: 0.2
#   padding: same  # or valid
#   pool: 2

params:  # a list is an axis of the sweep, a single value is the same for every run
  lr: [0.01, 0.001]
  batch_size: [64, 256]
  shuffle: true
  epochs: 3
  # optimizer: adam  # or {optimizers}; or your own: path.py:Class
  # momentum: 0.0  # sgd, rmsprop, muon
  # nesterov: false  # sgd, muon
  # beta1: 0.9  # adam and its kin
  # beta2: 0.999  # adam and its kin
  # eps: 1e-8  # adam and its kin, rmsprop
  # weight_decay: 0.0  # adamw: 0.01, muon: 0.1
  # schedule: constant  # or {schedules}; with arguments {{name: step, every: 2, factor: 0.1, warmup: 1}}
  # loss: cross_entropy  # or {losses}; with arguments {{name: focal, gamma: 2}}; your own: path.py:function
  # class_weight: none  # or balanced, sqrt; or weights of classes, such as {{truck: 5}}
  # sampling: natural  # or balanced: each class equally often in an epoch
  # label_smoothing: 0.0
  # grad_clip: none  # or the largest norm of the gradient, such as 1.0
  # ema: none  # or the decay of an exponential moving average of the weights, such as 0.999
  # swa: none  # or the last epochs of which the weights are averaged, such as 3, or 0.25 of all
  # accumulate: 1  # batches in an optimizer step
  # drop_last: false  # leaves a last batch out that has fewer images
  # freeze_bn: false  # batch-norm layers train in evaluation mode
  # dropout: [0.0, 0.2]  # not set by default; for models that have it
  # augment: none  # or {augmentations}, or some of them as flip+crop
  # seed: [0, 1, 2]  # by default the sweep's seed, below
  # model: [lenet, cnn]  # compares models; replaces `model` above
  # model.channels: [[6, 12], [16, 32]]  # an argument of the model; a list of lists for what is a list itself

# zip: [lr, batch_size]  # these axes move together, so they need equally many values
# when: {{batch_size: {{lr: 0.01}}}}  # batch_size counts only where lr is 0.01, and has its default elsewhere
# exclude: [{{lr: '> 0.005', batch_size: 64}}]  # leaves combinations out; comparisons stand in quotes
# include: [{{lr: 0.1, batch_size: 512}}]  # trials beside the others
# search: {{method: random, runs: 20}}  # instead of every combination; or sobol, tpe, gp, cmaes. For distributions as
#                                       # lr: {{log_uniform: [1e-4, 1e-1]}}, batch_size: {{log_integer: [16, 256]}}

# seed: 0  # makes the validation split, and is the seed of runs that have none of their own
# seeds: 3  # trains each trial with three seeds, from `seed` on; or a list of seeds. By default with one
# validation: 0.1  # share, or number, of training images held out to choose the best epoch and run; or {{folds: 5}}
# metric: val_accuracy  # or val_loss, accuracy, loss
# metrics: []  # others to record: a name, or your own as path.py:Name; `metric` may be one of them too
# mode: max  # min for losses
# scope: best  # which epochs of a run count; or last, or mean of last 3
# early_stop: halving  # ends poor trials early; or hyperband, median, patience, threshold. By default none does
# device: auto  # or cpu, cuda, cuda:1, mps
# precision: fp32  # or bf16
# tensorboard: true  # or false, or {{batch_loss: true, images: true, graph: true, histograms: true, hparams: true}}
# trackers: [tensorboard]  # programs that show the metrics; [] for none, or your own path.py:Name
# callbacks: []  # your own code that gets the events, and may end runs: [path.py:Name]
"""


_BY_NAME = """\
dataset: {dataset}  # `cnnsweep datasets` lists them; your own: {{name: image_folder, path: photos}} or path.py:function
# dataset:  # a mapping gives arguments
#   name: {dataset}
#   normalize: standard  # mean and deviation of the training images; or none, or {{mean: 0.5, std: 0.5}}
"""

_IMAGE_FOLDER = """\
dataset:
  name: image_folder  # your own images, one folder a class, in `path` or in `path/train` and `path/test`
  path: photos  # SET THIS: from the data root (--data-root) or the current folder
  # size: 64  # pixels, or [height, width]; by default the most common size
  # channels: 3  # 1 for grey; by default 1 if all images are grey
  # test: 0.2  # share kept for testing where there is no test/ folder
  # broken: stop  # or skip: leave out images that cannot be read
  # normalize: standard  # mean and deviation of the training images; or none, or {{mean: 0.5, std: 0.5}}
"""


def name_for(stem: str) -> str:
    """Return a name that a sweep may have, like that of its file."""
    name = re.sub(r"[^\w .-]", "_", stem).strip(". -")[:100]
    return "sweep" if not name or name.split(".")[0].strip().lower() in FolderName.reserved else name


def starter_file(name: str, dataset: str = "shapes", model: str = "lenet") -> str:
    """Return the text of a commented sweep file; it loads if name, data set and model are valid.

    It runs as it is, but for `image_folder`, whose path only the user knows.
    """
    data = (_IMAGE_FOLDER if dataset == "image_folder" else _BY_NAME).format(dataset=flow_yaml(dataset))
    others = {
        "optimizers": _names(OPTIMIZERS, without="adam"),
        "schedules": _names(SCHEDULES, without="constant"),
        "losses": _names(LOSSES, without="cross_entropy"),
        "augmentations": _names(AUGMENTATIONS),
    }
    return _TEMPLATE.format(name=flow_yaml(name), data=data, model=flow_yaml(model), **others)


def _names(registry: Registry[Any], without: str = "") -> str:
    return ", ".join([name for name in registry.names if name != without] or ["path.py:Class"])

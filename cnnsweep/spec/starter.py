"""The sweep file that `cnnsweep init` writes: it runs as it is, and shows every key with a comment."""

from cnnsweep.spec.dump import flow_yaml

_TEMPLATE = """\
# A sweep: every combination of the lists under `params` is one run.
#   cnnsweep run FILE --dry-run    shows the runs
#   cnnsweep run FILE              trains them
# Lines that begin with # are off; the values in them are the defaults, unless they say otherwise.

name: {name}  # the sweep's folder under runs/
# description: ""  # what the sweep is for, in your words

dataset: {dataset}  # `cnnsweep datasets` lists them; your own: {{name: image_folder, path: photos}} or path.py:function
# dataset:  # a mapping gives arguments
#   name: {dataset}
#   normalize: standard  # mean and deviation of the training images; or none, or {{mean: 0.5, std: 0.5}}

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
  # optimizer: adam  # or sgd, adamw, rmsprop
  # momentum: 0.0  # sgd, rmsprop
  # nesterov: false  # sgd
  # beta1: 0.9  # adam, adamw
  # beta2: 0.999  # adam, adamw
  # eps: 1e-8  # adam, adamw, rmsprop
  # weight_decay: 0.0  # adamw: 0.01
  # schedule: constant  # or cosine, one_cycle, step; with arguments {{name: step, every: 2, factor: 0.1, warmup: 1}}
  # label_smoothing: 0.0
  # grad_clip: none  # or the largest norm of the gradient, such as 1.0
  # dropout: [0.0, 0.2]  # not set by default; for models that have it
  # augment: none  # or flip, crop, cutout, or some of them as flip+crop
  # seed: [0, 1, 2]  # by default the sweep's seed, below
  # model: [lenet, cnn]  # compares models; replaces `model` above
  # model.channels: [[6, 12], [16, 32]]  # an argument of the model; a list of lists for what is a list itself

# zip: [lr, batch_size]  # these axes move together, so they need equally many values
# when: {{batch_size: {{lr: 0.01}}}}  # batch_size counts only where lr is 0.01, and has its default elsewhere
# exclude: [{{lr: '> 0.005', batch_size: 64}}]  # leaves combinations out; comparisons stand in quotes
# include: [{{lr: 0.1, batch_size: 512}}]  # settings beside the others
# search: {{method: random, runs: 20}}  # instead of every combination; or sobol, tpe, gp, cmaes. For distributions as
#                                       # lr: {{log_uniform: [1e-4, 1e-1]}}, batch_size: {{log_integer: [16, 256]}}

# seed: 0  # makes the validation split, and is the seed of runs that have none of their own
# seeds: 3  # trains each setting with three seeds, from `seed` on; or a list of seeds. By default with one
# validation: 0.1  # share, or number, of training images held out to choose the best epoch and run; or {{folds: 5}}
# metric: val_accuracy  # or val_loss, accuracy, loss
# mode: max  # min for losses
# scope: best  # which epochs of a run count; or last, or mean of last 3
# early_stop: halving  # ends poor settings early; or hyperband, median, patience, threshold. By default none does
# device: auto  # or cpu, cuda, cuda:1, mps
# precision: fp32  # or bf16
# tensorboard: true  # or false, or {{batch_loss: true, images: true, graph: true, histograms: true, hparams: true}}
"""


def starter_file(name: str, dataset: str = "shapes", model: str = "lenet") -> str:
    """Return the text of a commented sweep file; it loads if name, data set and model are valid."""
    return _TEMPLATE.format(name=flow_yaml(name), dataset=flow_yaml(dataset), model=flow_yaml(model))

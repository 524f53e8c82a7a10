"""The names by which other tools and papers call what a sweep file has under a name of its own."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

# Keys of the file, those below `params` with its name before them: what else they are called, in lower case and without
# anything but letters and digits.
_KEYS: Mapping[str, str] = {
    "name": "title project experiment experimentname sweepname runname",
    "description": "notes comment comments",
    "dataset": "data dataname datasetname ds trainset traindata",
    "model": "arch architecture net network backbone modelname cnn modeltype",
    "params": (
        "parameters hyperparameters hyperparams hparams hyperparameter param config space searchspace grid axes sweep"
    ),
    "search": "method strategy sampler searcher searchalgorithm tuner searchmethod",
    "seeds": "nseeds numseeds numberofseeds repeats repetitions replicates nrepeats trialspersetting",
    "validation": (
        "valsplit validationsplit val valsize valfraction valratio validationsize validationfraction valshare holdout"
    ),
    "metric": "objective monitor target valmetric goalmetric",
    "mode": "direction goal",
    "early_stop": ("earlystopping earlystop pruner pruning earlyterminate earlytermination stopping stop stopper"),
    "device": "gpu gpus cuda devices accelerator ngpus gpuid gpuids",
    "precision": "amp fp16 half mixedprecision dtype bf16 autocast floatprecision",
    "tensorboard": "tb logging logger tblog usetensorboard",
    "params.lr": (
        "learningrate learningrates lrs lrate initlr initiallr baselr maxlr lr0 alpha stepsizelr optimizerlr eta "
        "startlr"
    ),
    "params.batch_size": ("bs batch batchsizes bsz batchsz trainbatchsize trainbatch minibatch minibatchsize nbatch"),
    "params.shuffle": "shuffled trainshuffle randomorder shuffletrain",
    "params.epochs": (
        "epoch numepochs nepochs maxepochs nbepochs totalepochs epochcount numberofepochs numtrainepochs trainepochs "
        "nepoch numepoch"
    ),
    "params.optimizer": "optim opt optimiser optimizers solver optimizername optimname",
    "params.momentum": "mom optimizermomentum",
    "params.nesterov": "usenesterov nesterovmomentum nag",
    "params.eps": "epsilon adameps adamepsilon",
    "params.beta1": "adambeta1 b1",
    "params.beta2": "adambeta2 b2",
    "params.weight_decay": "wd l2 weightdecay l2reg l2regularization l2penalty regularization decay lambda reg",
    "params.schedule": (
        "scheduler lrscheduler lrschedule lrpolicy lrsched sched schedulers learningrateschedule learningratescheduler "
        "lrdecay annealing"
    ),
    "params.loss_function": "criterion loss lossfn lossname objectivefunction",
    "params.label_smoothing": "labelsmooth smoothing ls smooth labelsmoothingfactor",
    "params.grad_clip": (
        "clip clipgrad clipnorm gradclip gradientclip gradientclipping gradclipnorm maxgradnorm clipgradnorm clipping "
        "gradientclipval maxnorm"
    ),
    "params.dropout": "drop droprate dropoutrate dropoutprob dropoutp pdropout",
    "params.augment": (
        "augmentation augmentations transform transforms aug augs dataaugmentation traintransforms traintransform "
        "autoaugment randaugment"
    ),
    "params.seed": "randomseed randomstate seednumber rngseed manualseed rng",
}

# What is said another way here.
_ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("betas", "adambetas"), "adam's two are the keys beta1 and beta2, under params"),
    **dict.fromkeys(
        ("warmup", "warmupepochs", "gamma", "stepsize", "milestones", "etamin", "lrgamma", "lrstepsize", "tmax"),
        "it is part of the schedule, as in `schedule: {name: cosine, warmup: 2}` or "
        "`schedule: {name: step, every: 5, factor: 0.1}` under params",
    ),
    **dict.fromkeys(
        ("trials", "ntrials", "numtrials", "maxtrials", "numsamples", "nruns", "maxruns", "runs", "niter", "budget"),
        "how many trials are tried is said with the search, as in `search: {method: random, runs: 20}`",
    ),
    **dict.fromkeys(
        ("folds", "kfold", "kfolds", "nfolds", "cv", "crossvalidation", "nsplits"),
        "folds are a kind of validation, as in `validation: {folds: 5}`",
    ),
    **dict.fromkeys(
        ("patience", "minepochs", "graceperiod", "mindelta"),
        "it belongs to a rule, as in `early_stop: {method: patience, epochs: 5}`",
    ),
    **dict.fromkeys(
        ("pretrained", "weights", "finetune"), "pretrained weights are not supported: every run starts from random ones"
    ),
    **dict.fromkeys(
        ("inchannels", "numclasses", "nclasses", "classes", "channelsin", "inputchannels", "nclass"),
        "the data set decides it",
    ),
    **dict.fromkeys(
        ("imagesize", "imgsize", "inputsize", "resize"),
        "the data set decides it; image_folder and shapes take `size`, as in `dataset: {name: image_folder, size: 64}`",
    ),
    **dict.fromkeys(
        ("normalize", "normalization", "mean", "std"),
        "it is part of the data set, as in `dataset: {name: cifar10, normalize: standard}`",
    ),
    **dict.fromkeys(
        ("numworkers", "workers", "nworkers", "pinmemory", "prefetch"),
        "images are kept in memory, so there is nothing to set; --jobs says how many processes train",
    ),
    **dict.fromkeys(
        ("out", "output", "outputdir", "outdir", "savedir", "logdir", "workdir", "checkpointdir", "resultsdir"),
        "where results go is said on the command line, with --out",
    ),
    **dict.fromkeys(
        ("dataroot", "datadir", "datapath", "root", "datasetpath", "datafolder"),
        "where data sets lie is said on the command line, with --data-root; your own images are "
        "`dataset: {name: image_folder, path: ...}`",
    ),
    **dict.fromkeys(
        ("jobs", "parallel", "njobs", "maxparallel", "concurrency"), "it is said on the command line, with --jobs"
    ),
    **dict.fromkeys(
        ("amsgrad", "dampening", "centered"),
        "this option of the optimizer cannot be set: it has torch's default",
    ),
}  # fmt: skip

# The same for keys of single mappings, by the pydantic tag of the mapping.
_SEARCH = {
    "method": "name type algorithm kind strategy sampler",
    "runs": "trials ntrials numtrials maxtrials numsamples n count nruns maxruns iterations samples budget trials",
    "seed": "randomseed randomstate",
    "round": "batch batchsize roundsize parallel concurrency",
}
_RULE = {
    "method": "name type kind rule algorithm",
    "min_epochs": "graceperiod warmup warmupepochs minresource miniter minepoch startepoch minimumepochs",
    "factor": "reductionfactor eta",
    "epochs": "patience wait",
    "min_delta": "delta tolerance minimprovement mindelta",
    "value": "threshold target baseline below",
    "min_settings": "startuptrials minsamples nstartuptrials mintrials",
}
_SCHEDULE = {
    "name": "type method kind scheduler schedule",
    "warmup": "warmupepochs nwarmup warmupsteps",
    "final": "etamin minlr finallr endlr minratio",
    "peak": "pctstart peakat",
    "every": "stepsize step interval period epochs",
    "factor": "gamma decay rate",
}
_DATASET = {
    "name": "type kind dataset",
    "normalize": "normalization normalisation standardize",
    "path": "root dir folder directory datadir datapath location file",
    "size": "imagesize imgsize resize inputsize resolution shape",
    "channels": "inchannels colors colours mode nchannels",
    "test": "testsplit testsize testshare testratio testfraction",
    "broken": "corrupt errors onerror skipbroken",
    "split": "subset part",
    "train": "trainsize ntrain numtrain samples",
    "classes": "numclasses nclasses",
    "seed": "randomseed",
}
_MODEL = {
    "name": "type arch architecture model kind",
    "channels": "filters widths outchannels convchannels convs conv width features",
    "kernel_size": "kernel kernels ksize kernelsizes filtersize",
    "hidden": "hiddensizes fc linear dense hiddenlayers hiddendims hiddensize mlp fcsizes",
    "batch_norm": "bn batchnorm norm usebn usebatchnorm batchnormalization",
    "dropout": "drop droprate dropoutrate dropoutprob p",
    "padding": "pad",
    "pool": "pooling poolsize maxpool",
}
_PARTS = {"sampler": _SEARCH, "pruner": _RULE, "schedule": _SCHEDULE, "data set": _DATASET, "model": _MODEL}

# And for what keys take.
_VALUES = {
    "accuracy": "acc trainacc trainaccuracy",
    "val_accuracy": "valacc validationaccuracy valacc1 top1",
    "loss": "trainloss trainingloss",
    "val_loss": "validationloss",
    "max": "maximize maximise higher up",
    "min": "minimize minimise lower down",
    "grid": "gridsearch exhaustive full all",
    "random": "randomsearch randomized",
    "sobol": "qmc quasirandom quasimontecarlo",
    "tpe": "bayes bayesian bayesianoptimization bo optuna hyperopt",
    "gp": "gaussianprocess gpbo botorch",
    "cmaes": "cma evolution evolutionary genetic",
    "halving": "asha sha successivehalving",
    "patience": "earlystopping plateau",
    "constant": "none off fixed flat",
    "cosine": "cosineannealing cosineannealinglr cosinelr cosinedecay",
    "one_cycle": "onecyclelr onecyclepolicy",
    "step": "steplr multistep multisteplr stepdecay exponential exponentiallr",
    "fp32": "float32 float full single",
    "bf16": "bfloat16 mixed amp fp16 float16 half",
    "fp64": "float64 double",
    "flip": "horizontalflip hflip randomhorizontalflip mirror",
    "crop": "randomcrop pad",
    "cutout": "randomerasing erasing",
    "fashion_mnist": "fashion fmnist",
    "cifar10": "cifar",
    "image_folder": "folder images photos custom",
    "lenet": "lenet5",
    "resnet18": "resnet",
    "densenet121": "densenet",
    "vgg11": "vgg",
    "mobilenet_v2": "mobilenet",
    "efficientnet_b0": "efficientnet",
    "vit_b_16": "vit",
}


def plain(name: str) -> str:
    """Return a name without what people write in it differently: case, and all but letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_alias(aliases: Mapping[str, str]) -> dict[str, str]:
    return {alias: key for key, names in aliases.items() for alias in [*names.split(), plain(key.rpartition(".")[2])]}


_KEY_OF = _by_alias(_KEYS)
_VALUE_OF = _by_alias(_VALUES)
_PART_KEY_OF = {part: _by_alias(aliases) for part, aliases in _PARTS.items()}


@dataclass(frozen=True, slots=True)
class Usual:
    """Name of a foreign key in cnnsweep: the end of a message, and the key if it belongs to the same section."""

    text: str
    key: str | None = None


def usual_key(name: str, *, under_params: bool) -> Usual | None:
    """Say what a key is called here that stands at the top of a file, or under `params`; None where it is unknown."""
    key = _KEY_OF.get(plain(name))
    if key is None:
        advice = _ADVICE.get(plain(name))
        return None if advice is None else Usual(advice)
    if key == "model" or key.startswith("params.") == under_params:  # `model` stands in either place
        key = key.removeprefix("params.")
        return Usual(f"did you mean '{key}'?", key)
    if key.startswith("params."):
        return Usual(f"did you mean '{key.removeprefix('params.')}', under params?")
    return Usual(f"did you mean '{key}', at the top of the file?")


def usual_part(part: str, name: str, known: Collection[str]) -> str | None:
    """Return what a key of a mapping is called here.

    Args:
        part: the kind of the component, such as schedule; most have none.
        known: the keys that this mapping has.
    """
    key = _PART_KEY_OF.get(part, {}).get(plain(name))
    return key if key in known else None


def usual_axis(name: str) -> str:
    """Return the key of `params` that a name may stand for; the name itself where it stands for none."""
    key = _KEY_OF.get(plain(name), "")
    return key.removeprefix("params.") if key.startswith("params.") or key == "model" else name


def usual_value(name: str, known: Collection[str]) -> str | None:
    """Return which of the known values other tools call so."""
    value = _VALUE_OF.get(plain(name))
    return value if value in known else None

"""The names by which other tools and papers call what a sweep file has under a name of its own."""

from collections.abc import Mapping

# Other names of the keys of the file, those below `params` with its name before them: in lower case and without
# anything but letters and digits.
KEYS: Mapping[str, str] = {
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
    "params.class_weight": "classweights classbalance posweight lossweight lossweights",
    "params.sampling": "weightedsampler weightedrandomsampler oversampling oversample balancedsampling",
    "params.label_smoothing": "labelsmooth smoothing ls smooth labelsmoothingfactor",
    "params.grad_clip": (
        "clip clipgrad clipnorm gradclip gradientclip gradientclipping gradclipnorm maxgradnorm clipgradnorm clipping "
        "gradientclipval maxnorm"
    ),
    "params.ema": "modelema emadecay weightema useema exponentialmovingaverage averagedecay",
    "params.swa": "stochasticweightaveraging swaepochs useswa",
    "params.accumulate": (
        "accumulation gradaccum gradientaccumulation accumulategradbatches gradientaccumulationsteps "
        "gradaccumulationsteps accumulationsteps accumsteps gradaccumsteps accumgrad"
    ),
    "params.drop_last": "droplast droplastbatch dropremainder",
    "params.freeze_bn": "freezebatchnorm freezebn frozenbn bnfreeze freezenorm",
    "params.dropout": "drop droprate dropoutrate dropoutprob dropoutp pdropout",
    "params.augment": (
        "augmentation augmentations transform transforms aug augs dataaugmentation traintransforms traintransform "
        "autoaugment randaugment"
    ),
    "params.seed": "randomseed randomstate seednumber rngseed manualseed rng",
}

# Advice for keys that have no equal here.
ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("betas", "adambetas"), "its two numbers are the keys beta1 and beta2, under params"),
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
        ("amsgrad", "dampening", "centered", "rho", "momentumdecay", "initialaccumulatorvalue", "nssteps"),
        "it is an argument of the optimizer, as in `optimizer: {name: adam, amsgrad: true}` under params",
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
    "every": "stepsize step interval period epochs t0",
    "factor": "gamma decay rate",
    "growth": "tmult",
    "power": "exponent degree",
    "patience": "wait",
    "threshold": "mindelta tolerance minimprovement",
    "metric": "monitor mode",
}
_DATASET = {
    "name": "type kind dataset",
    "normalize": "normalization normalisation standardize",
    "path": "root dir folder directory datadir datapath location file",
    "size": "imagesize imgsize resize inputsize resolution shape",
    "channels": "inchannels colors colours mode nchannels",
    "test": "testsplit testsize testshare testratio testfraction",
    "broken": "corrupt errors onerror skipbroken",
    "split": "part",
    "subset": "fraction sample limit nimages maximages",
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
PARTS = {"sampler": _SEARCH, "pruner": _RULE, "schedule": _SCHEDULE, "data set": _DATASET, "model": _MODEL}

# Other names of values.
VALUES = {
    "accuracy": "acc trainacc trainaccuracy",
    "val_accuracy": "valacc validationaccuracy valacc1 top1",
    "loss": "trainloss trainingloss",
    "val_loss": "validationloss",
    "balanced_accuracy": "balancedacc bacc balancedaccuracyscore",
    "macro_f1": "f1macro macrof1score f1score",
    "weighted_f1": "f1weighted weightedf1score",
    "micro_f1": "f1micro microf1score",
    "macro_precision": "precisionmacro precisionscore",
    "weighted_precision": "precisionweighted",
    "micro_precision": "precisionmicro",
    "macro_recall": "recallmacro recallscore sensitivity uar",
    "weighted_recall": "recallweighted",
    "micro_recall": "recallmicro",
    "kappa": "cohenkappa cohenskappa cohenkappascore",
    "mcc": "matthews matthewscorrcoef matthewscorrelationcoefficient",
    "top_5": "top5 top5accuracy top5acc acc5",
    "auroc": "auc rocauc rocaucscore aucroc",
    "average_precision": "ap map averageprecisionscore prauc auprc",
    "nll": "logloss negativeloglikelihood",
    "ece": "calibrationerror expectedcalibrationerror",
    "brier": "brierscore brierscoreloss",
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
    "adam": "adma adamm",  # to which adamax would be nearer
    "polynomial": "polynomiallr poly polynomialdecay linear linearlr lineardecay",
    "restarts": "cosineannealingwarmrestarts sgdr warmrestarts cosinerestarts cosinewithrestarts",
    "plateau": "reducelronplateau reduceonplateau",
    "step": "steplr multistep multisteplr stepdecay exponential exponentiallr",
    "cross_entropy": "ce crossentropyloss categoricalcrossentropy xent nll softmax",
    "focal": "focalloss sigmoidfocalloss",
    "binary_cross_entropy": "bce bceloss bcewithlogits bcewithlogitsloss binarycrossentropy",
    "poly": "polyloss poly1 poly1loss",
    "fp32": "float32 float full single",
    "bf16": "bfloat16 mixed amp fp16 float16 half",
    "fp64": "float64 double",
    "flip": "horizontalflip hflip randomhorizontalflip mirror fliplr",
    "crop": "randomcrop pad",
    "vertical_flip": "verticalflip vflip randomverticalflip flipud",
    "rotate": "randomrotation rotation",
    "resized_crop": "randomresizedcrop resizedcrop rrc",
    "color_jitter": "colorjitter colourjitter jitter randomcolorjitter",
    "mixup": "mix mixupalpha",
    "cutmix": "cutmixup cutmixalpha",
    "erase": "randomerasing erasing randomerase",
    "trivial": "trivialaugment trivialaugmentwide ta",
    "rand": "randaugment randaug ra",
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

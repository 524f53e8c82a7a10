"""The Python API, for notebooks and scripts: everything that the command line reaches; see docs/python.md."""

from cnnsweep.api.commands import clean, compare, doctor, plan
from cnnsweep.api.sweep import Sweep
from cnnsweep.api.train import load, run
from cnnsweep.api.trained_run import TrainedRun

__all__ = ["Sweep", "TrainedRun", "clean", "compare", "doctor", "load", "plan", "run"]

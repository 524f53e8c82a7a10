"""Hyperparameter sweeps of image-classification CNNs, from one YAML file."""

__version__ = "0.1.0"

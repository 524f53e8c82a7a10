"""The version, in a module that imports nothing: its users do not import the Python interface."""

__version__ = "0.1.0"

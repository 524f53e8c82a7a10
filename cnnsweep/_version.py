"""The version, in a module that imports nothing: whoever needs it does not import the Python interface with it."""

__version__ = "0.1.0"

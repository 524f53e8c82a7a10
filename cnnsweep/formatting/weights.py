"""Names of averaged weights for readers."""

from cnnsweep.types import EMA, PLAIN, SWA

_WORDS = {
    PLAIN: "the weights as trained",
    EMA: "the moving average of the weights (ema)",
    SWA: "the mean of the weights of the last epochs (swa)",
}


def notes_on_weights(weights: str) -> list[str]:
    """Return a note on averaged weights that were measured; nothing for the plain ones."""
    return [] if weights == PLAIN else [f"measured with {weights_words(weights)}"]


def weights_words(weights: str) -> str:
    """Return what weights are: `the moving average of the weights (ema)`."""
    return _WORDS[weights]

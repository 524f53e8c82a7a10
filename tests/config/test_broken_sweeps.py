"""Every case of `broken_sweeps.txt`: a title after `====`, the sweep file, and after `=>` each line of its error."""

from pathlib import Path

import pytest

from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import SpecError


def read_cases() -> dict[str, tuple[str, str]]:
    """Return sweep file and error text by title."""
    cases = {}
    for case in (Path(__file__).parent / "broken_sweeps.txt").read_text(encoding="utf-8").split("==== ")[1:]:
        title, _, rest = case.partition("\n")
        sweep, _, error = rest.partition("=> ")
        assert title not in cases, f"two cases are called {title!r}"
        cases[title] = (sweep, error.strip().replace("\n=> ", "\n"))
    return cases


CASES = read_cases()


@pytest.mark.parametrize("title", CASES)
def test_broken_sweep_gives_its_exact_error(title: str, tmp_path: Path) -> None:
    sweep, expected = CASES[title]
    with pytest.raises(SpecError) as raised:
        parse_sweep(sweep, "sweep.yaml", folder=tmp_path)
    assert str(raised.value) == expected


def test_corpus_is_large_enough() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize("title", CASES)
def test_messages_hold_no_words_of_the_libraries(title: str) -> None:
    _, expected = CASES[title]
    for jargon in ("Input should be", "Extra inputs", "pydantic", "yaml.org", "NoneType", "<class", "Traceback"):
        assert jargon not in expected

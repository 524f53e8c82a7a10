"""The words of the code: docstrings begin with a noun phrase or an imperative, and each idea has one name."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import cnnsweep
from cnnsweep.cli.app import app

PACKAGE = Path(cnnsweep.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

QUESTION_WORDS = {"what", "who", "whose", "which", "whether", "how", "where", "when", "why", "from", "of"}


# Old name: the name in its place. On disk (journal, JSON, CSV, YAML) nothing was renamed, so strings are free.
OLD_NAMES = {
    **{"Asker": "TrialSource", "AskedRound": "SuggestedRound", "asker": "trial_source"},
    **{"Suggester": "Sampler", "suggester": "sampler", "Told": "Observation", "Picks": "Suggestion"},
    **{"Judge": "PrunerDriver", "Verdict": "PruneDecision", "new_verdicts": "new_decisions"},
    **{"Leg": "Stage", "LegTrainer": "StageTrainer", "train_leg": "train_stage", "begin_leg": "begin_stage"},
    **{"goals": "stop_epochs", "goal_of": "stop_epoch_of", "leg": "stage"},
    **{"Roster": "TrialQueue", "roster": "trial_queue", "take_missing": "pop_pending"},
    **{"Staff": "ExecutorOptions", "Workforce": "ExecutorFactory", "grow_for": "maybe_scale_out"},
    **{"Supervisor": "CallbackList", "Watcher": "TrainerCallback", "SweepWatcher": "ExecutorCallback"},
    **{"HeardDisplay": "FunctionCallback", "FailureStreak": "FailureLimit"},
    **{"Load": "Job", "Costs": "CostModel", "Place": "Slot", "Fleet": "Workers", "Lost": "WorkerDied"},
    **{"hire": "start", "dismiss": "stop", "Said": "LogLine", "Leave": "Shutdown", "Unfit": "StartupFailed"},
    **{"worker_said": "on_log", "ClusterWish": "RayOptions"},
    **{"Lane": "TrialSlot", "Member": "SlotState", "lane": "trial_slot", "lanes": "trial_slots"},
    **{"Program": "Learner", "PlainProgram": "SingleLearner", "FusedProgram": "FusedLearner"},
    **{"Programs": "LearnerGroup", "build_programs": "build_learners", "on_each": "map"},
    **{"TrainingTask": "DataModule", "Part": "FoldData", "PixelScale": "PixelNormalize", "viewers": "representatives"},
    **{"Calibration": "TuningResult", "Way": "FusionPlan", "calibrate": "autotune", "How": "Dispatch"},
    **{"Boards": "TensorBoardTracker", "RunBoard": "EventWriter", "BoardContent": "TensorBoardConfig"},
    **{"SweepHistory": "SweepState", "RunHistory": "RunState", "read_history": "read_state"},
    **{"Recorder": "SweepWriter", "RecordingTask": "WriterContext", "Replay": "JournalReplay"},
    **{"Sight": "SweepMonitor", "Presence": "OwnerState"},
    **{"Salvage": "RecoveredJournal", "Rubbish": "UnusedFile", "rubbish": "unused_files", "Finding": "Diagnostic"},
    **{"OwnDataset": "CustomDataset", "OwnModel": "CustomModel", "load_own": "load_custom", "is_own": "is_custom"},
    **{"Published": "TorchvisionFiles", "Look": "ImageInfo", "Parcel": "DownloadFile"},
    **{"in_step": "lockstep", "mixes_epochs": "mixed_epochs", "asks_in_passing": "is_asynchronous"},
    **{"frontier": "pareto", "looks_at_end": "depends_on_length"},
}


# Phrases that are refused in docstrings, comments and texts, as regular expressions.
REFUSED = {
    r"so many": "the number of, up to",
    r"as many as": "the number of",
    r"nobody|somebody|everybody|anybody": "the user, a process",
    r"a person|persons?'s?|who|whoever": "a user, or a noun",
    r"mends?|mended|mending": "repair, fix",
    r"goes on|go on|went on": "continue, resume",
    r"whatever|wherever|however": "any, if",
    r"a run and epoch": "per run and epoch",
    r"steers?": "control",
}

# Refused phrases that are right: the file and the words around the phrase.
RIGHT: set[tuple[str, str]] = {
    ("datasets/idx.py", "labels, as many as there are images"),
}


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each docstring of modules, classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)) is not None:
            yield getattr(node, "lineno", 1), text


def begins_with_a_question_word(text: str) -> bool:
    first = re.match(r"\W*(\w+)", text)
    return first is not None and first[1].lower() in QUESTION_WORDS


def question_docstrings(path: Path) -> list[str]:
    name = path.relative_to(PACKAGE)
    return [
        f"{name}:{line} {text.splitlines()[0]}" for line, text in docstrings(path) if begins_with_a_question_word(text)
    ]


def old_names(source: str) -> list[tuple[int, str]]:
    """Return the line and word of every name token that is an old one; strings and comments do not count."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [
        (token.start[0], token.string) for token in tokens if token.type == tokenize.NAME and token.string in OLD_NAMES
    ]


def texts_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every comment and string, docstrings included."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds and " " in token.string:
            text = re.sub(r"\{[^{}]*\}", "", token.string) if token.string[0] in "fF" else token.string
            yield token.start[0], " ".join(text.split())


def refused_phrases(name: str, source: str) -> list[str]:
    found = []
    for line, text in texts_of(source):
        for pattern, better in REFUSED.items():
            for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
                around = text[max(0, match.start() - 40) : match.end() + 40]
                if not any(name == file and words in around for file, words in RIGHT):
                    found.append(f"{name}:{line} '{match[0]}' (better: {better}): {around}")
    return found


def test_refused_phrases_are_gone():
    assert len(FILES) > 200
    assert [
        one for name, path in FILES.items() for one in refused_phrases(name, path.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize(
    "source", ['"""Show so many runs."""', "x = 1  # who reads it", 'f"it {x} goes on here"', '"mend that first"']
)
def test_refused_phrases_are_found(source):
    assert len(refused_phrases("a.py", source + "\n")) == 1


@pytest.mark.parametrize("source", ["who = go_on = mend\n", '"recommend it, an amended line"\n', '"goes_on"\n'])
def test_names_and_longer_words_are_free(source):
    assert refused_phrases("a.py", source) == []


def test_docstrings_begin_with_a_noun_phrase_or_an_imperative():
    wrong = [line for path in FILES.values() for line in question_docstrings(path)]
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["Who trains a sweep.", "Where data lie.", "`What` is said.", "From text to runs.", "Of K runs."]
)
def test_question_words_are_found(text):
    assert begins_with_a_question_word(text)


@pytest.mark.parametrize(
    "text", ["Executor options.", "Return what was read.", "Whatever the reader sends.", "Offsets of rows."]
)
def test_other_beginnings_are_free(text):
    assert not begins_with_a_question_word(text)


def test_help_texts_begin_with_an_imperative_or_a_noun():
    commands = get_command(app).commands
    texts = {f"{name}": command.help or "" for name, command in commands.items()}
    for name, command in commands.items():
        texts |= {f"{name} {option.name}": getattr(option, "help", None) or "" for option in command.params}
    assert len(texts) > 100
    assert {key: text for key, text in texts.items() if not text or begins_with_a_question_word(text)} == {}


def test_old_names_are_gone():
    found = [
        f"{name}:{line} {word}: is called {OLD_NAMES[word]}"
        for name, path in FILES.items()
        for line, word in old_names(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_old_names_are_found_in_code_alone():
    assert old_names('Lane(1)  # a Lane\nx = "Lane"\ndef f(leg): ...\n') == [(1, "Lane"), (3, "leg")]
    assert not set(OLD_NAMES) & set(OLD_NAMES.values())

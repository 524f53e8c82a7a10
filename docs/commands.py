"""Write docs/commands.md from the help texts: `make docs`."""

import os
import subprocess
import sys
from pathlib import Path

COMMANDS = [
    "run",
    "plan",
    "report",
    "compare",
    "evaluate",
    "export",
    "predict",
    "watch",
    "tensorboard",
    "logs",
    "doctor",
    "clean",
    "models",
    "datasets",
    "schema",
    "init",
]
TARGET = Path(__file__).with_name("commands.md")


def reference() -> str:
    """Return the Markdown page: what `cnnsweep COMMAND --help` prints, for each command."""
    sections = ["# Commands\n\nWhat `cnnsweep COMMAND --help` prints. Made by `make docs`."]
    for command in COMMANDS:
        environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
        call = [sys.executable, "-m", "cnnsweep", command, "--help"]
        done = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
        text = done.stdout.replace("python -m cnnsweep", "cnnsweep").rstrip()
        sections.append(f"## cnnsweep {command}\n\n```text\n{text}\n```")
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")

"""The geotranslate program, run as a process of its own; QGIS is not needed here."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

VARIABLE = "GEOTRANSLATE_PROGRAM"
"""Environment variable with the path of the program."""
SETTINGS = "Settings > Options > Processing > Providers > geotranslate"
WRITER = Path(__file__).with_name("writer.txt")
"""File of a plugin with the Python that wrote it, which has geotranslate."""
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA")
"""Variables that QGIS sets for its own libraries; the program has libraries of its own."""
BAR = re.compile(r"\s*(?:(?P<phase>[^|%]*): +)?(?P<percent>\d{1,3})%\|")
"""A progress bar, such as `statistics:  40%|####      | 4/10 [00:01<00:02, 3.20tile/s]`."""
BARE = re.compile(r".*\[\d+:\d\d.*\]$")
"""A progress bar without a known end."""
ERROR = "Error: "
PATIENCE = (30.0, 5.0)
"""Seconds that a process may take to end after it is interrupted, and after it is terminated."""
POLL = 0.1


class Line(NamedTuple):
    """A line of standard error."""

    text: str
    replaced: bool
    """Whether the next line replaced it, as with progress bars."""


class ProgramError(Exception):
    """The program cannot be run, or has failed; the text is one sentence for users."""


class ProgramCanceled(ProgramError):
    """The program was canceled; the text says what is left of its work."""


def find_program(setting: str) -> list[str]:
    """Return the first arguments of a command that runs geotranslate.

    Args:
        setting: Path in the settings of the provider; empty for the program of the environment
            variable, on the PATH, or of the Python that wrote the plugin.

    Raises:
        ProgramError: There is no program.
    """
    for given, place in ((setting.strip(), SETTINGS), (os.environ.get(VARIABLE, ""), VARIABLE)):
        if given:
            found = shutil.which(given)
            if found is None:
                raise ProgramError(
                    f"{given}, given in {place}, is no program; give the path of the installed "
                    "program geotranslate."
                )
            return [found]
    found = shutil.which("geotranslate")
    if found is not None:
        return [found]
    python = WRITER.read_text(encoding="utf-8").strip() if WRITER.exists() else ""
    if python and shutil.which(python):
        return [python, "-m", "geotranslate"]
    raise ProgramError(
        "The program geotranslate is not found; install geotranslate, and give the path of its "
        f"program in {SETTINGS}, or in the environment variable {VARIABLE}."
    )


def environment() -> dict[str, str]:
    """Return the variables of the program: those of QGIS without what is for QGIS's libraries."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN and not name.startswith("TQDM_")
    }
    return {**kept, "PYTHONIOENCODING": "utf-8"}


def run(command: list[str], feedback: Any) -> str:
    """Run a command and return its standard output.

    Args:
        command: Program and arguments.
        feedback: A `QgsProcessingFeedback`: it receives progress, notes and other lines of standard
            error, and may cancel the command.

    Raises:
        ProgramError: The command cannot be started, or fails; the sentence is the command's.
        ProgramCanceled: It was canceled.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            # Only Windows has it; otherwise a console would open.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            # A QGIS that a script started in the background ignores interruptions, and so would
            # the program.
            preexec_fn=_take_interruptions if os.name == "posix" else None,
        )
    except OSError as error:
        raise ProgramError(f"{command[0]} cannot be started: {error.strerror}.") from error
    with process:
        said = _Said(feedback)
        output, canceled = _communicate(process, said)
    if canceled:
        raise ProgramCanceled(said.stopped or "Stopped.")
    if process.returncode:
        raise ProgramError(said.error(process.returncode))
    return output.decode("utf-8", "replace")


def _take_interruptions() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _Said:
    """Lines of standard error, of which progress and notes go to a feedback."""

    def __init__(self, feedback: Any) -> None:
        self.feedback = feedback
        self.lines: list[str] = []
        self.phase: str | None = None

    def take(self, line: Line | None) -> None:
        """Take a line, None for the end."""
        text, replaced = line or Line("", True)
        bar = BAR.match(text)
        if bar is not None:
            self._show(bar["phase"] or "translating", int(bar["percent"]))
        elif text.strip() and not replaced and not BARE.match(text):
            self.lines.append(text)
            if not text.startswith((ERROR, "Usage: ", "Try ", "Stopped.")):
                self.feedback.pushInfo(text)

    def _show(self, phase: str, percent: int) -> None:
        if phase != self.phase:
            self.phase = phase
            self.feedback.setProgressText(phase)
        self.feedback.setProgress(percent)

    @property
    def stopped(self) -> str:
        """The sentence of an interrupted command."""
        return next((line for line in reversed(self.lines) if line.startswith("Stopped.")), "")

    def error(self, code: int) -> str:
        """Return the sentence of a command that failed, or its last line."""
        for number in reversed(range(len(self.lines))):
            if self.lines[number].startswith(ERROR):
                first, *rest = self.lines[number:]
                return "\n".join([first[len(ERROR) :], *rest])
        last = f": {self.lines[-1]}" if self.lines else ""
        return f"geotranslate ended with exit code {code}{last}"


def _communicate(process: Any, said: _Said) -> tuple[bytes, bool]:
    """Return the standard output of a process, and whether it was canceled."""
    output: list[bytes] = []
    lines: queue.Queue[Line | None] = queue.Queue()
    threads = [
        _thread(lambda stream: output.append(stream.read()), process.stdout),
        _thread(lambda stream: _read_lines(stream, lines), process.stderr),
    ]
    canceled = _follow(process, lines, said)
    process.wait()
    for thread in threads:
        thread.join(PATIENCE[1])
    while not lines.empty():
        said.take(lines.get())
    return b"".join(output), canceled


def _follow(process: Any, lines: queue.Queue[Line | None], said: _Said) -> bool:
    """Pass on lines until the process ends; return whether it was canceled."""
    while True:
        if said.feedback.isCanceled():
            _stop(process)
            return True
        try:
            line = lines.get(timeout=POLL)
        except queue.Empty:
            # A process of the program may keep the stream open.
            if process.poll() is not None:
                return False
            continue
        if line is None:
            return False
        said.take(line)


def _stop(process: Any) -> None:
    """End a process; interrupted as by Ctrl-C, it says what is left and how to go on."""
    if os.name == "posix":
        process.send_signal(signal.SIGINT)
        if _ends(process, PATIENCE[0]):
            return
    # Windows has no interruption for programs without a console. Finished parts are kept anyway.
    process.terminate()
    if not _ends(process, PATIENCE[1]):
        process.kill()


def _ends(process: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return True
        time.sleep(POLL)
    return False


def _thread(work: Callable[[IO[bytes]], None], stream: IO[bytes]) -> threading.Thread:
    thread = threading.Thread(target=work, args=(stream,), daemon=True)
    thread.start()
    return thread


def _read_lines(stream: IO[bytes], lines: queue.Queue[Line | None]) -> None:
    """Put the lines of a stream into a queue as they come, and None at its end."""
    rest = b""
    while True:
        chunk = os.read(stream.fileno(), 65536)
        *whole, rest = re.split(rb"(\r\n|\n|\r(?!\Z))", rest + chunk)
        for text, end in zip(whole[::2], whole[1::2]):  # noqa: B905  # not in Python 3.7
            lines.put(Line(text.decode("utf-8", "replace"), end == b"\r"))
        if not chunk:
            lines.put(Line(rest.decode("utf-8", "replace"), False))
            lines.put(None)
            return

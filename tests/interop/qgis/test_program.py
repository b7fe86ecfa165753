"""The plugin's side of the program, without QGIS: a script takes the program's place."""

from __future__ import annotations

import itertools
import os
import queue
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.interop.qgis.plugin import program
from geotranslate.interop.qgis.plugin.program import (
    Line,
    ProgramCanceled,
    ProgramError,
    environment,
    find_program,
    run,
)


@dataclass
class Feedback:
    """The part of a `QgsProcessingFeedback` that is used."""

    cancel_at: float = 1000.0
    progress: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def isCanceled(self) -> bool:  # the names of QGIS
        return bool(self.progress) and self.progress[-1] >= self.cancel_at

    def setProgress(self, percent: float) -> None:
        self.progress.append(percent)

    def setProgressText(self, text: str) -> None:
        self.texts.append(text)

    def pushInfo(self, line: str) -> None:
        self.lines.append(line)


def ran(code: str, feedback: Feedback) -> str:
    return run([sys.executable, "-c", code], feedback)


def test_progress_notes_and_output_arrive() -> None:
    code = (
        "import sys\n"
        "from tqdm import tqdm\n"
        "for each in tqdm(range(3), 'statistics', mininterval=0, miniters=1): pass\n"
        "print('Note: lone pixels.', file=sys.stderr)\n"
        "for each in tqdm(range(4), unit='tile', mininterval=0, miniters=1): pass\n"
        "for each in tqdm(iter(range(4)), 'counting', mininterval=0, miniters=1): pass\n"
        "print('[1, 2]')"
    )
    feedback = Feedback()
    assert ran(code, feedback) == f"[1, 2]{os.linesep}"
    assert feedback.texts == ["statistics", "translating"]
    assert feedback.progress[-1] == 100
    assert set(feedback.progress) >= {0, 33, 67, 100, 25, 50, 75}
    assert feedback.lines == ["Note: lone pixels."]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Usage: geotranslate ...\\nTry ...\\n\\nError: No such option.", "No such option."),
        ("Note: a\\nError: The model is\\nof another kind.", "The model is\nof another kind."),
        ("KeyError: 3", "geotranslate ended with exit code 1: KeyError: 3"),
        ("", "geotranslate ended with exit code 1"),
    ],
)
def test_errors_are_the_sentences_of_the_command(written: str, said: str) -> None:
    with pytest.raises(ProgramError) as caught:
        ran(f"import sys; sys.exit('{written}' or 1)", Feedback())
    assert str(caught.value) == said


@pytest.mark.skipif(os.name != "posix", reason="Windows terminates programs")
@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_a_canceled_program_may_finish_its_sentence(handler: Any) -> None:
    code = (
        "import sys, time\n"
        "try:\n"
        "    print('translating:  50%|', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('\\nStopped. Parts are kept.', file=sys.stderr)\n"
        "    sys.exit(130)"
    )
    # Programs that a shell starts in the background ignore interruptions, and so do theirs.
    former = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(ProgramCanceled, match=r"^Stopped\. Parts are kept\.$"):
            ran(code, Feedback(cancel_at=50))
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.skipif(os.name != "posix", reason="Windows terminates programs")
def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PATIENCE", (0.2, 0.2))
    code = (
        "import signal, sys, time\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        "print('translating:  50%|', file=sys.stderr)\n"
        "time.sleep(60)"
    )
    with pytest.raises(ProgramCanceled):
        ran(code, Feedback(cancel_at=50))


def test_the_libraries_of_qgis_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/qgis/python")
    monkeypatch.setenv("PROJ_LIB", "/qgis/proj")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("HTTPS_PROXY", "here")
    found = environment()
    assert not {"PYTHONHOME", "PROJ_LIB", "TQDM_DISABLE"} & found.keys()
    assert found["HTTPS_PROXY"] == "here"


def test_setting_then_variable_then_path_then_the_writer_of_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("GEOTRANSLATE_PROGRAM", raising=False)
    monkeypatch.setattr(program, "WRITER", tmp_path / "writer.txt")
    with pytest.raises(ProgramError, match="is not found; install geotranslate, and give the path"):
        find_program("")
    (tmp_path / "writer.txt").write_text("/no/longer/here\n")
    with pytest.raises(ProgramError, match="is not found"):
        find_program("")
    (tmp_path / "writer.txt").write_text(f"{sys.executable}\n")
    assert find_program("") == [sys.executable, "-m", "geotranslate"]
    suffix = ".exe" if os.name == "nt" else ""
    for folder in ("path", "variable", "setting"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / f"geotranslate{suffix}"
        file.write_text("")
        file.chmod(0o755)
    assert find_program("") == [str(tmp_path / "path" / f"geotranslate{suffix}")]
    given = str(tmp_path / "variable" / f"geotranslate{suffix}")
    monkeypatch.setenv("GEOTRANSLATE_PROGRAM", given)
    assert find_program("") == [given]
    setting = str(tmp_path / "setting" / f"geotranslate{suffix}")
    assert find_program(f" {setting} ") == [setting]
    with pytest.raises(ProgramError, match=r"given in Settings > Options > .* is no program"):
        find_program(str(tmp_path / "setting"))


@given(
    texts=st.lists(st.tuples(st.text("ab %|é", max_size=5), st.sampled_from(["\r", "\n", "\r\n"]))),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_lines_do_not_depend_on_the_chunks_in_which_they_come(
    texts: list[tuple[str, str]], cuts: list[int]
) -> None:
    # An empty line between \r and \n would be no line.
    texts = [(text or "x", end) for text, end in texts]
    written = "".join(text + end for text, end in texts).encode()
    lines: queue.Queue[Line | None] = queue.Queue()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as stream:
        thread = threading.Thread(target=program._read_lines, args=(stream, lines))
        thread.start()
        ends = sorted({*cuts, 0, len(written)})
        for start, stop in itertools.pairwise(ends):
            os.write(writing, written[start:stop])
        os.close(writing)
        thread.join()
    found = []
    while (line := lines.get()) is not None:
        found.append(line)
    # What is left behind the last end is empty, or it is a last line that ends in \r.
    expected = [Line(text, end == "\r") for text, end in texts]
    if expected and expected[-1].replaced:
        last = expected.pop().text
        assert found.pop() == Line(f"{last}\r", False)
    else:
        assert found.pop() == Line("", False)
    assert found == expected

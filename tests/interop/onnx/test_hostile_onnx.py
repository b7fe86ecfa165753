"""Laws: no ONNX file does anything but load and translate, or end in one sentence."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.onnx.hostile_onnx import loaded, mutated
from tests.wrong_values import GIB


def test_mutated_files_load_or_are_refused(onnx_file: Path, tmp_path: Path) -> None:
    content, found = onnx_file.read_bytes(), []
    for number in range(40):
        changed = mutated(content, random.Random(number))
        found.append(loaded(tmp_path / "model.onnx", changed))
    assert 0 < sum(found) < len(found)


@pytest.mark.slow(minutes=0.3)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_two_thousand_mutations_take_little_memory(onnx_file: Path, tmp_path: Path) -> None:
    child = "tests.interop.onnx.hostile_onnx"
    command = [sys.executable, "-m", child, onnx_file, tmp_path, 0, 2000]
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
    facts = json.loads(done.stdout.splitlines()[-1])
    assert not facts["wrong"], "\n".join(facts["wrong"])
    assert not facts["asked"]
    assert facts["grown"] < GIB
    assert 0 < facts["loaded"] < 2000

"""Laws: no ONNX file does anything but load and translate, or end in one sentence."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from geotranslate import load_onnx
from geotranslate.errors import ModelFileError
from geotranslate.interop.onnx.entries import OUTPUT
from tests.interop.onnx.hostile_onnx import loaded, mutated
from tests.wrong_values import GIB


def test_mutated_files_load_or_are_refused(onnx_file: Path, tmp_path: Path) -> None:
    content, found = onnx_file.read_bytes(), []
    for number in range(40):
        changed = mutated(content, random.Random(number))
        found.append(loaded(tmp_path / "model.onnx", changed))
    assert 0 < sum(found) < len(found)


def test_output_of_another_shape_is_refused(onnx_file: Path, tmp_path: Path) -> None:
    proto = onnx.load(onnx_file)
    nodes = proto.graph.node
    last = next(each for each in nodes if OUTPUT in each.output)
    first = next(each for each in nodes if each.op_type == "Conv")
    for node in nodes:
        node.input[:] = [OUTPUT if name == first.output[0] else name for name in node.input]
    first.output[0] = OUTPUT
    nodes.remove(last)
    file = tmp_path / "model.onnx"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelFileError, match=r"shape .*, but its card says \(1, 1"):
        load_onnx(file).predict(np.zeros((3, 16, 16), np.uint8))


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

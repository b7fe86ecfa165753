from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from geotranslate import Pix2Pix
from geotranslate.errors import ModelFileError
from geotranslate.prediction.workers import SavedModel, augmented, works_elsewhere
from tests.conftest import values

TILES = values((3, 3, 64, 64), "uint8").astype(np.float32)


def saved_model(model: Pix2Pix, folder: Path, digest: str) -> SavedModel:
    return SavedModel.of(model.loader, folder, digest, model.predictor.inference, False)


@pytest.mark.parametrize("tta", [False, True, "std"])
def test_saved_model_does_what_the_inference_does(
    fresh_model: Pix2Pix, tmp_path: Path, tta: bool | str
) -> None:
    saved = SavedModel.of(
        fresh_model.loader,
        fresh_model.save(tmp_path / "m"),
        fresh_model.digest(),
        fresh_model.predictor.inference,
        tta,
    )
    sent = pickle.dumps(saved)
    assert len(sent) < 1000
    again = pickle.loads(sent)
    np.testing.assert_array_equal(
        again(TILES), augmented(fresh_model.predictor.inference, tta)(TILES)
    )
    assert (again.stride, again.radius) == (64, 127)


def test_model_is_loaded_once_a_process_whatever_the_threads(
    fresh_model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    load = Pix2Pix.from_model
    monkeypatch.setattr(Pix2Pix, "from_model", lambda path: loads.append(path) or load(path))
    folder = fresh_model.save(tmp_path / "m")
    saved = saved_model(fresh_model, folder, fresh_model.digest())
    copies = [pickle.loads(pickle.dumps(saved)) for _ in range(6)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda each: each(TILES), copies))
    assert loads == [folder]


def test_model_that_was_renewed_meanwhile_is_refused(fresh_model: Pix2Pix, tmp_path: Path) -> None:
    folder = fresh_model.save(tmp_path / "m")
    saved = saved_model(fresh_model, folder, "another digest")
    with pytest.raises(ModelFileError, match="was renewed while a scene was translated"):
        saved(TILES)


@pytest.mark.slow
def test_other_processes_translate_the_same(fresh_model: Pix2Pix, tmp_path: Path) -> None:
    folder = fresh_model.save(tmp_path / "m")
    saved = saved_model(fresh_model, folder, fresh_model.digest())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(saved, TILES).result()
    np.testing.assert_array_equal(found, fresh_model.predictor.inference(TILES))


def test_threads_work_here_and_all_else_elsewhere() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert not works_elsewhere(pool)
    assert not works_elsewhere(None)
    assert works_elsewhere(object())

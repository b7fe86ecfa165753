"""The same file, whoever computes its parts."""

from __future__ import annotations

import concurrent.futures as cf
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from geotranslate.errors import InvalidInputError, TranslationError
from geotranslate.raster.pipeline import translate_raster
from tests.children import HANGS
from tests.conftest import WriteRaster, values
from tests.raster.pipeline.test_resume import OPTIONS, shade

Batch = NDArray[np.float32]


@pytest.fixture
def raster(write_raster: WriteRaster) -> Path:
    return write_raster("a.tif", values((1, 2000, 300), "uint8"))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", [cf.ThreadPoolExecutor, cf.ProcessPoolExecutor])
def test_any_executor_makes_the_same_file(
    raster: Path, tmp_path: Path, kind: Callable[[int], Any], workers: int
) -> None:
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    with kind(workers) as executor:
        result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, executor=executor)
    assert result.path.read_bytes() == whole.path.read_bytes()
    assert result.tiles == whole.tiles
    assert result.mismatch == whole.mismatch


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def test_forked_workers_wait_for_no_thread_of_gdal(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")
    raster = write_raster(
        "tiled.tif",
        values((1, 512, 256), "uint8"),
        tiled=True,
        blockxsize=16,
        blockysize=16,
        compress="deflate",
    )
    with rasterio.open(raster) as dataset:
        dataset.read()  # starts the threads
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    fork = multiprocessing.get_context("fork")
    with cf.ProcessPoolExecutor(1, fork) as executor:
        timer = threading.Timer(
            HANGS, lambda: [each.kill() for each in executor._processes.values()]
        )
        timer.start()
        result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, executor=executor)
        timer.cancel()
    assert result.path.read_bytes() == whole.path.read_bytes()


class Backwards(cf.Executor):
    """Does nothing until all is asked for, and then the last first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.waiting: list[tuple[cf.Future[Any], Callable[[], Any]]] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> cf.Future[Any]:
        future: cf.Future[Any] = cf.Future()
        self.waiting.append((future, partial(function, *args, **kwargs)))
        if len(self.waiting) == self.count:
            for other, call in reversed(self.waiting):
                other.set_result(call())
        return future


def test_order_of_the_parts_does_not_matter(raster: Path, tmp_path: Path) -> None:
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    result = translate_raster(
        raster, tmp_path / "b.tif", shade, **OPTIONS, executor=Backwards(len(range(0, 2000, 256)))
    )
    assert result.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.slow
def test_workers_may_be_spawned(raster: Path, tmp_path: Path) -> None:
    """As on Windows and macOS: nothing is inherited, all is pickled."""
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    with cf.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, executor=executor)
    assert result.path.read_bytes() == whole.path.read_bytes()


def fail(batch: Batch) -> Batch:
    raise RuntimeError("out of memory")


def test_failure_of_a_worker_stops_all(raster: Path, tmp_path: Path) -> None:
    with (
        cf.ProcessPoolExecutor(2) as executor,
        pytest.raises(TranslationError, match=r"tile row \d+, tile column 0.*out of memory"),
    ):
        translate_raster(raster, tmp_path / "b.tif", fail, **OPTIONS, executor=executor)
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


def test_open_raster_cannot_be_handed_to_workers(raster: Path, tmp_path: Path) -> None:
    with (
        rasterio.open(raster) as dataset,
        cf.ThreadPoolExecutor(1) as executor,
        pytest.raises(InvalidInputError, match=r"open DatasetReader.*give its path or URL"),
    ):
        translate_raster(dataset, tmp_path / "b.tif", shade, **OPTIONS, executor=executor)


def test_what_executes_nothing_is_refused(raster: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"executor is int, which has no submit\(\)"):
        translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, executor=3)


def die_once(batch: Batch) -> Batch:
    """Kill the worker that is the first to come by, in the middle of its part."""
    import os
    import signal
    import time

    time.sleep(0.01)
    mark = Path(os.environ["GEOTRANSLATE_TEST_MARK"])
    if batch[0, 0, 0, 0] > 200 and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return shade(batch)


@pytest.mark.slow
def test_dask_cluster_survives_the_death_of_a_worker(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    dask = pytest.importorskip("dask")
    monkeypatch.setenv("GEOTRANSLATE_TEST_MARK", str(tmp_path / "died"))
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    with (
        # Workers of a busy machine start slowly.
        dask.config.set({"distributed.comm.timeouts.connect": f"{HANGS}s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        result = translate_raster(raster, tmp_path / "b.tif", die_once, **OPTIONS, executor=client)
    assert (tmp_path / "died").exists(), "a worker should have died"
    assert result.path.read_bytes() == whole.path.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.filterwarnings("ignore:.*parts are finished and stay")
def test_process_pool_that_breaks_can_be_resumed(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOTRANSLATE_TEST_MARK", str(tmp_path / "died"))
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    with (
        cf.ProcessPoolExecutor(2) as executor,
        pytest.raises(
            TranslationError, match=r"A worker of the executor failed.*go on with resume=True"
        ),
    ):
        translate_raster(raster, tmp_path / "b.tif", die_once, **OPTIONS, executor=executor)
    result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, resume=True)
    assert result.path.read_bytes() == whole.path.read_bytes()


def test_relative_paths_hold_wherever_workers_are(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    with cf.ProcessPoolExecutor(1, initializer=os.chdir, initargs=("elsewhere",)) as executor:
        result = translate_raster("a.tif", "b.tif", shade, **OPTIONS, executor=executor)
    assert result.path.exists()


@pytest.mark.filterwarnings("ignore:.*parts are finished and stay")
def test_failed_run_ends_when_its_workers_have(raster: Path, tmp_path: Path) -> None:
    """What they still write would be taken for parts of the next run."""
    working, ended = threading.Event(), threading.Event()

    def slow_or_fail(batch: Batch) -> Batch:
        if working.is_set() and not ended.is_set() and threading.current_thread() is not first[0]:
            raise RuntimeError("out of memory")
        first.append(threading.current_thread())
        working.set()
        time.sleep(0.1)
        return shade(batch)

    first: list[threading.Thread] = []
    with cf.ThreadPoolExecutor(2) as executor:
        with pytest.raises(TranslationError, match="out of memory"):
            translate_raster(
                raster, tmp_path / "b.tif", slow_or_fail, **OPTIONS, blend="hann", executor=executor
            )
        ended.set()
        count = len(first)
        time.sleep(0.3)
        assert len(first) == count, "nobody works any more"
    result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, blend="hann")
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS, blend="hann")
    assert result.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.filterwarnings("ignore:.*parts are finished and stay")
def test_failure_of_one_worker_stops_the_others_in_their_parts(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part may take an hour."""
    monkeypatch.setattr("geotranslate.raster.pipeline.executors.LOOK", 0)
    first: list[threading.Thread] = []
    failing = threading.Event()

    def slow_or_fail(batch: Batch) -> Batch:
        if first and threading.current_thread() is not first[0]:
            failing.set()
            raise RuntimeError("out of memory")
        first.append(threading.current_thread())
        assert failing.wait(HANGS)
        time.sleep(0.3)
        return shade(batch)

    with (
        cf.ThreadPoolExecutor(2) as executor,
        pytest.raises(TranslationError, match="out of memory"),
    ):
        translate_raster(
            raster,
            tmp_path / "b.tif",
            slow_or_fail,
            **OPTIONS,
            blend="hann",
            batch_size=1,
            executor=executor,
        )
    assert len(first) < 15, "a part has 30 tiles and more"
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


def test_executor_that_is_shut_down_is_said(raster: Path, tmp_path: Path) -> None:
    executor = cf.ThreadPoolExecutor(1)
    executor.shutdown()
    sentence = r"The executor takes no work: RuntimeError: .*shutdown.* Give one that is running"
    with pytest.raises(TranslationError, match=sentence):
        translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, executor=executor)
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


class Remembering(cf.Executor):
    """Takes equal calls for one, as Dask does."""

    def __init__(self) -> None:
        self.known: dict[bytes, cf.Future[Any]] = {}

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> cf.Future[Any]:
        key = pickle.dumps((args, kwargs))
        if key not in self.known:
            self.known[key] = future = cf.Future()
            try:
                future.set_result(function(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)
        return self.known[key]


def fail_at_first(batch: Batch) -> Batch:
    mark = Path(os.environ["GEOTRANSLATE_TEST_MARK"])
    if not mark.exists():
        mark.write_text("")
        raise RuntimeError("out of memory")
    return shade(batch)


@pytest.mark.filterwarnings("ignore:.*parts are finished and stay")
def test_call_that_failed_may_be_repeated(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOTRANSLATE_TEST_MARK", str(tmp_path / "failed"))
    executor, options = Remembering(), {**OPTIONS, "blend": "hann"}
    with pytest.raises(TranslationError, match="out of memory"):
        translate_raster(raster, tmp_path / "b.tif", fail_at_first, **options, executor=executor)
    translate_raster(raster, tmp_path / "b.tif", fail_at_first, **options, executor=executor)

"""Other processes for tests, which find torch, fastai and geotranslate imported.

Importing them takes a new process many seconds. Where the system can, the processes are copies of
one that has imported all and done nothing else.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

METHODS = multiprocessing.get_all_start_methods()
HANGS = 900
"""Seconds after which a process hangs, also on a machine that is busy with other things."""
CONTEXT = multiprocessing.get_context("forkserver" if "forkserver" in METHODS else "spawn")
"""Also for executors: all that they are given is pickled, as it is for processes of their own."""
CONTEXT.set_forkserver_preload(
    [
        *("accelerate", "torch._dynamo"),
        *("tests.training.test_cycle_training", "tests.training.test_distributed"),
        *("tests.prediction.test_predict_raster", "tests.chips.hostile"),
    ]
)


class Child:
    """A process that runs a function of a module; it is killed at the end of a `with` block.

    Args:
        log: File for all that the process prints.
        function: Function, found by its name.
        args: Its arguments, which are pickled.
        environment: Variables of the environment besides those of this process.
    """

    def __init__(
        self, log: Path, function: Callable[..., Any], *args: Any, **environment: str
    ) -> None:
        self.log = log
        log.touch()
        variables = {**os.environ, **environment}
        self.process = CONTEXT.Process(target=_run, args=(log, variables, function, args))
        self.process.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process at once, if it runs."""
        self.process.kill()
        self.process.join()

    @property
    def exit_code(self) -> int | None:
        """The exit code, None of a process that runs."""
        return self.process.exitcode

    def output(self, timeout: float = HANGS) -> str:
        """Return all that is printed until the process ends; kill it after so many seconds."""
        self.process.join(timeout)
        if self.exit_code is None:
            self.kill()
            raise TimeoutError(f"{timeout} s were not enough; printed: {self.log.read_text()}")
        return self.log.read_text()

    def wait_for(self, happened: Callable[[], object], timeout: float = HANGS) -> None:
        """Wait until something happened, while the process runs."""
        end = time.monotonic() + timeout
        while not happened():
            assert self.exit_code is None, f"it ended before: {self.log.read_text()}"
            assert time.monotonic() < end, f"it takes too long: {self.log.read_text()}"
            time.sleep(0.005)


def _run(
    log: Path, variables: dict[str, str], function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    os.environ.clear()
    os.environ.update(variables)
    try:
        function(*args)
    finally:
        # multiprocessing leaves them out.
        atexit._run_exitfuncs()

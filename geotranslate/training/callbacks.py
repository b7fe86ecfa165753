"""What training shows and remembers."""

from __future__ import annotations

from fastai.callback.core import Callback


class History(Callback):
    """Remember every epoch's row of the progress table, over all calls of `fit`.

    Args:
        rows: List that the rows are appended to, as name -> value.
    """

    # After Recorder (50), which computes the row.
    order = 51

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.rows = rows

    def after_epoch(self) -> None:
        """Append the finished epoch, unless it is a search for a learning rate."""
        if hasattr(self.learn, "lr_finder"):
            return
        names = list(self.recorder.metric_names)[1:]
        values = self.learn.final_record
        # The last column of the table is the time, which the record does not hold.
        self.rows.append({name: float(value) for name, value in zip(names, values, strict=False)})

"""The loaders of a training set: said, mapped and drawn."""

from __future__ import annotations

from typing import Any

from fastai.data.core import DataLoaders
from matplotlib.patches import Patch

from geotranslate.checks import whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.chips.division import ground_of
from geotranslate.chips.folder import ChipFolder
from geotranslate.chips.split import TRAIN, VALIDATION, Split
from geotranslate.chips.summary import Summary, summarise
from geotranslate.errors import InvalidInputError
from geotranslate.training.tensors import RgbBands

LEFT_OUT = "left out"
SPLIT_COLOURS = {TRAIN: "tab:blue", VALIDATION: "tab:orange", LEFT_OUT: "lightgrey"}


class PairLoaders(DataLoaders):
    """Training and validation loaders, with what is known of their data.

    `card` holds what a model has to know, `folder` the pairs that were found, `split` which of
    them train and which validate.
    """

    card: DataCard
    folder: ChipFolder
    split: Split

    def summary(self) -> Summary:
        """Say what was found: counts, sizes, CRS, bands, nodata, and what was left out and why."""
        return summarise(self.folder, self.card, len(self.split.left_out))

    def plot_split(self) -> Any:
        """Draw the footprints of training, validation and left-out pairs; return the axes.

        Raises:
            InvalidInputError: The chips have no CRS.
        """
        outlines = ground_of(self.folder)
        if outlines is None:
            raise InvalidInputError("The chips have no CRS, so there is no map of the split.")
        labels = [LEFT_OUT] * len(outlines)
        for label, positions in ((TRAIN, self.split.train), (VALIDATION, self.split.validation)):
            for position in positions:
                labels[position] = label
        drawn: dict[str, Any] = {"alpha": 0.5, "edgecolor": "black"}
        axes = outlines.plot(color=[SPLIT_COLOURS[label] for label in labels], **drawn)
        patches = [
            Patch(facecolor=colour, label=label, **drawn)
            for label, colour in SPLIT_COLOURS.items()
            if label in labels
        ]
        axes.legend(handles=patches)
        return axes

    def show_batch(
        self,
        rows: int = 4,
        *,
        max_n: int | None = None,
        rgb_bands: RgbBands | None = None,
        **others: Any,
    ) -> None:
        """Draw training pairs, source and target side by side.

        Args:
            rows: Pairs, at most those of a batch.
            max_n: The same, as fastai calls it.
            rgb_bands: Three bands to draw as colours or one to draw in grey, by number from 1, in
                the columns that have them.
            others: What else fastai's `TfmdDL.show_batch` takes: `b`, `ctxs`, `show`, `unique`.

        Raises:
            InvalidInputError: A number is impossible, or there is no such argument.
        """
        unknown = sorted(others.keys() - {"b", "ctxs", "show", "unique"})
        if unknown:
            raise InvalidInputError(
                f"show_batch has no argument {unknown[0]!r}; it has rows and rgb_bands."
            )
        shown = rows if max_n is None else max_n
        whole_number("rows" if max_n is None else "max_n", shown, 1)
        return self.train.show_batch(max_n=shown, rgb_bands=rgb_bands, **others)


def data_card(data: DataLoaders | DataCard) -> DataCard:
    """Return the data card, bare or of loaders.

    Raises:
        InvalidInputError: The loaders are not from `prepare_data`.
    """
    card = data if isinstance(data, DataCard) else getattr(data, "card", None)
    if not isinstance(card, DataCard):
        raise InvalidInputError(
            f"data is {type(data).__name__} without a data card; give what prepare_data returns."
        )
    return card

"""Whether a training goes on from the one that its folder holds."""

from __future__ import annotations

import warnings
from pathlib import Path

from geotranslate.errors import GeotranslateWarning
from geotranslate.training.checkpoints import facts_in
from geotranslate.translators.card import Card


def judged_from(folder: Path, card: Card, monitor: str, done: int) -> int:
    """Return the row of the history from which on the best model in a folder is judged.

    A model that is trained again in its folder replaces its best one by a better one alone. Warns
    where the folder holds another training, which is lost.

    Args:
        folder: Where the training shall write.
        card: That of the model, with its history.
        monitor: Column that the best model is judged by.
        done: Epochs of the training that are in the history.
    """
    first, facts = len(card.history) - done, facts_in(folder)
    if facts is None:
        return first
    held = Card.from_json(facts["card"])
    # As text, because NaN is not equal to itself.
    if held.differences(card) or repr(held.history) != repr(card.history[: len(held.history)]):
        warnings.warn(
            f"The folder {folder} holds a training of {len(held.history)} epochs that this one "
            "does not go on from; its checkpoint, best model and history are replaced. To go on "
            "with it, stop and give resume=True; to keep it, give another folder.",
            GeotranslateWarning,
            stacklevel=5,
        )
        return first
    begun, column = facts["best"]
    return int(begun) if column == monitor else first

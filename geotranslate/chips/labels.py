"""The labels of chips: training, validation or test."""

from __future__ import annotations

TRAIN, VALIDATION = "train", "val"
"""What the `split` column of polygons and footprints says."""
TEST = "test"
LABELS = {
    **{"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST},
    **{"val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION},
}
"""What labels mean, in any case and with blanks around them."""


def known_label(value: object) -> str | None:
    """Return what a label means; None for none of ours."""
    return LABELS.get(value.strip().lower()) if isinstance(value, str) else None

"""Labels of chips: training, validation or test."""

from __future__ import annotations

TRAIN, VALIDATION = "train", "val"
"""Labels in the column `split` of polygons and footprints."""
TEST = "test"
LABELS = {
    **{"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST},
    **{"val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION},
}
"""Meanings of labels; case and surrounding blanks do not matter."""


def known_label(value: object) -> str | None:
    """Return the meaning of a label; None for an unknown one."""
    return LABELS.get(value.strip().lower()) if isinstance(value, str) else None

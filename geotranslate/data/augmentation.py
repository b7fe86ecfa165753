"""Random flips, quarter turns, jitter and user functions of training chips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geotranslate.errors import InvalidInputError

PairTransform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training pairs.

    Args:
        turns: Whether both chips are flipped and turned by quarters.
        jitter: Largest change of the source's brightness and contrast, as a share of its range;
            the target is never changed.
        transform: Function of the user's from scaled source and target `(bands, rows, cols)`.
    """

    turns: bool = True
    jitter: float = 0.0
    transform: PairTransform | None = None

    def __call__(
        self, source: Tensor, target: Tensor, *, alike: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Change a source and a target at random, flipped and turned alike or each for itself."""
        if self.turns:
            symmetry = int(torch.randint(8, ()))
            source = turn(source, symmetry)
            target = turn(target, symmetry if alike else int(torch.randint(8, ())))
        if self.jitter:
            contrast, brightness = (torch.rand(2) * 2 - 1) * self.jitter
            source = source * (1 + contrast) + brightness
        return (source, target) if self.transform is None else self._transformed(source, target)

    def _transformed(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return a pair after the user's function.

        Raises:
            InvalidInputError: The function returns anything but two tensors of the same shapes.
        """
        assert self.transform is not None
        given, found = (source, target), self.transform(source, target)
        fits = isinstance(found, tuple | list) and len(found) == 2
        if not fits or not all(
            isinstance(new, Tensor) and new.shape == old.shape and new.is_floating_point()
            for new, old in zip(found, given, strict=True)
        ):
            raise InvalidInputError(
                f"The function transforms returned {_shown(found)}; it has to return a source and "
                f"a target of the shapes that it was given, {_shown(given)}."
            )
        return found[0].to(source.dtype), found[1].to(target.dtype)


def _shown(value: object) -> str:
    """Return a value's type, or dtypes and shapes of tensors, for an error."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, tuple | list) and 0 < len(value) <= 4:
        return " and ".join(map(_shown, value))
    return type(value).__name__


def turn(image: Tensor, symmetry: int) -> Tensor:
    """Return one of the eight flips and quarter turns of `(..., rows, cols)`; 0 is the identity."""
    # numpy: for so little work torch's threads wait for each other longer than they work.
    turned = np.rot90(image.numpy(), symmetry % 4, (-2, -1))
    flipped = turned[..., ::-1] if symmetry >= 4 else turned
    return torch.from_numpy(np.ascontiguousarray(flipped))

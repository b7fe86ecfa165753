"""Two networks, one for each direction of a translation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class TwoWay(nn.Module):
    """A generator from source to target and one back; called, it is the first."""

    def __init__(self, forth: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.forth, self.back = forth, back

    def forward(self, source: Tensor) -> Tensor:
        """Translate `(n, bands, rows, cols)` from source to target."""
        return self.forth(source)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile both networks (`torch.compile`)."""
        self.forth.compile(*args, **options)
        self.back.compile(*args, **options)

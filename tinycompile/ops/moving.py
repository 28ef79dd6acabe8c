"""What ops that only move data share: the output's quantisation is the input's, and the cost is bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import IO, Features, Op, Tensor


@dataclass(frozen=True)
class Moving(Op):
    """Copies values to new places; never changes one."""

    moves_data: ClassVar[bool] = True

    def features(self, io: IO) -> Features:
        """Every byte of the output is written once."""
        return Features(stores=io.out.nbytes)


def is_image(tensor: Tensor) -> bool:
    """Whether the tensor is NHWC with batch 1, so that it has windows."""
    return len(tensor.shape) == 4 and tensor.shape[0] == 1

"""The counters shared with the block hook: one record per step between two blocks, in one context of watched
functions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from unicorn import Uc
from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_R0, UC_ARM_REG_R8, UC_ARM_REG_SP
from unicorn.unicorn_const import UC_HOOK_BLOCK, UC_HOOK_CODE
from unicorn.unicorn_py3.unicorn import uclib

from tinycompile.simulate.emulator.native import library

NO_BLOCK = 0xFFFFFFFF
NEVER = 2**64 - 1
RUNNING, PAUSED, TABLE_FULL, REFUSED, TOO_DEEP, UNALIGNED = range(6)
WATCH_CONTEXT, WATCH_NOTIFY = 1, 2
REGISTERS = [UC_ARM_REG_R0 + n if n < 8 else UC_ARM_REG_R8 + n - 8 for n in range(13)] + [UC_ARM_REG_SP, UC_ARM_REG_LR]
"""Unicorn's numbers of r0 to lr."""
FILTER_SIZE, MAX_FRAMES, MAX_CONTEXTS = 4096, 256, 65536

STEP = np.dtype(
    [
        ("count", "u8"),
        ("context", "u4"),
        ("origin", "u4"),
        ("block", "u4"),
        ("size", "u4"),
        ("instructions", "u4"),
        ("cycles", "u4"),
    ]
)
WATCH = np.dtype([("address", "u4"), ("flags", "u4")])
CONTEXT = np.dtype([("parent", "u4"), ("watch", "u4")])

Price = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
Crossed = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)


class _Frame(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("watch", "return_to", "stack", "context")]


class _State(ctypes.Structure):
    """``tc_profile`` of block_hook.c, field by field."""

    _fields_ = [
        ("steps", ctypes.c_void_p),
        ("capacity", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("watches", ctypes.c_void_p),
        ("watch_count", ctypes.c_uint64),
        ("contexts", ctypes.c_void_p),
        ("context_count", ctypes.c_uint64),
        ("instructions", ctypes.c_uint64),
        ("cycles", ctypes.c_uint64),
        ("pause_at", ctypes.c_uint64),
        ("origin", ctypes.c_uint32),
        ("context", ctypes.c_uint32),
        ("depth", ctypes.c_uint32),
        ("stop", ctypes.c_uint32),
        ("stop_emulation", ctypes.c_void_p),
        ("read_register", ctypes.c_void_p),
        ("price", Price),
        ("crossed", Crossed),
        ("stack_register", ctypes.c_int32),
        ("link_register", ctypes.c_int32),
        ("filter", ctypes.c_uint8 * FILTER_SIZE),
        ("frames", _Frame * MAX_FRAMES),
    ]


@dataclass(frozen=True)
class Watch:
    """A function to watch: counts made while it is active are kept apart, or its entry is only reported."""

    address: int
    flags: int


class Profile:
    """Counts the blocks a Unicorn instance executes.

    ``price(origin, block, size)`` returns the instructions of a block and its cycles when it follows the
    block at ``origin`` (`NO_BLOCK`: nothing known), or None to stop before it. ``crossed(index, entering)``
    is called on entry to a watch with `WATCH_NOTIFY`, and on return from it where it is a context too.
    """

    def __init__(
        self,
        price: Callable[[int, int, int], tuple[int, int] | None],
        watches: Sequence[Watch] = (),
        crossed: Callable[[int, bool], None] = lambda index, entering: None,
        capacity: int = 1 << 14,
    ) -> None:
        self._steps = np.zeros(capacity, STEP)
        self._watches = np.array([(w.address, w.flags) for w in watches], WATCH)
        self._contexts = np.zeros(MAX_CONTEXTS, CONTEXT)
        self.addresses = [w.address for w in watches]
        self.state = _State(
            steps=self._steps.ctypes.data,
            capacity=capacity,
            watches=self._watches.ctypes.data,
            watch_count=len(watches),
            contexts=self._contexts.ctypes.data,
            context_count=1,
            pause_at=NEVER,
            origin=NO_BLOCK,
            stop_emulation=ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value,
            read_register=ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value,
            stack_register=UC_ARM_REG_SP,
            link_register=UC_ARM_REG_LR,
        )
        self.state.price = Price(lambda origin, block, size: _packed(price(origin, block, size)))
        self.state.crossed = Crossed(lambda index, entering: crossed(index, bool(entering)))
        for watch in watches:
            self.state.filter[(watch.address >> 1) % FILTER_SIZE] = 1

    def attach(self, uc: Uc) -> None:
        """Registers the hook; the profile must outlive the instance."""
        hook = library()
        assert hook.tc_profile_size() == ctypes.sizeof(_State), "block_hook.c and profile.py disagree"
        _add_hook(uc, UC_HOOK_BLOCK, hook.tc_on_block, ctypes.addressof(self.state))

    def check_alignment(self, uc: Uc, accesses: Sequence[tuple[int, int]]) -> None:
        """Stops with `UNALIGNED` before an access, (address of the instruction, base register), that is not
        aligned.
        """
        self._accesses = np.array(
            [(ctypes.addressof(self.state), REGISTERS[base]) for _, base in accesses], np.uint64
        ).reshape(-1, 2)
        for row, (address, _) in zip(self._accesses, accesses, strict=True):
            _add_hook(uc, UC_HOOK_CODE, library().tc_on_aligned_access, row.ctypes.data, address, address)

    def is_context(self, watch: int) -> bool:
        """Whether counts are kept apart while this watch is active."""
        return bool(self._watches["flags"][watch] & WATCH_CONTEXT)

    def grow(self) -> None:
        """Doubles the table, after a stop for `TABLE_FULL`."""
        larger = np.zeros(2 * len(self._steps), STEP)
        library().tc_profile_grow(ctypes.byref(self.state), larger.ctypes.data, len(larger))
        self._steps = larger

    def steps(self) -> npt.NDArray[np.void]:
        """The records met so far, dtype `STEP`; origins and blocks are addresses."""
        return self._steps[self._steps["count"] > 0]

    def chains(self) -> list[tuple[int, ...]]:
        """For each context, the indices of the watches active in it, outermost first."""
        found: list[tuple[int, ...]] = [()]
        for parent, watch in self._contexts[1 : self.state.context_count].tolist():
            found.append((*found[parent], watch))
        return found


def _add_hook(uc: Uc, kind: int, function: Any, data: int, first: int = 1, last: int = 0) -> None:
    handle = ctypes.c_size_t()
    callback = ctypes.cast(function, ctypes.c_void_p)
    uclib.uc_hook_add(uc._uch, ctypes.byref(handle), kind, callback, ctypes.c_void_p(data), first, last)


def _packed(cost: tuple[int, int] | None) -> int:
    return NEVER if cost is None else cost[0] << 32 | cost[1]

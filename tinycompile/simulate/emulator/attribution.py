"""From counted steps to costs: of the whole run, the measured region, each function and each layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinycompile.simulate.emulator.image import Image
from tinycompile.simulate.emulator.profile import Profile
from tinycompile.simulate.emulator.result import Cost

NO_SYMBOL = "(no symbol)"


class Attribution:
    """Sums over the steps of a finished run. With ``has_roi`` watch 0 is the measured region, else all of the
    run is.
    """

    def __init__(self, profile: Profile, image: Image, *, has_roi: bool) -> None:
        self._image = image
        self._steps = profile.steps()
        self._chains = profile.chains()
        self._watches = profile.addresses
        self._has_roi = has_roi
        self._instructions = self._steps["count"] * self._steps["instructions"]
        self._cycles = self._steps["count"] * self._steps["cycles"]

    def total(self) -> tuple[int, int]:
        """Instructions and cycles of the whole run."""
        return int(self._instructions.sum()), int(self._cycles.sum())

    def region(self) -> tuple[int, int]:
        """Instructions and cycles of the measured region."""
        inside = self._region_mask()
        return int(self._instructions[inside].sum()), int(self._cycles[inside].sum())

    def functions(self) -> tuple[Cost, ...]:
        """Self costs of the functions met in the measured region, most cycles first."""
        inside = np.flatnonzero(self._region_mask())
        names: dict[int, str] = {}
        sums: dict[str, list[int]] = {}
        for index in inside.tolist():
            step = self._steps[index]
            name = self._name(int(step["block"]), names)
            cost = sums.setdefault(name, [0, 0, 0])
            cost[0] += int(step["count"]) if self._is_call(step, name, names) else 0
            cost[1] += int(self._instructions[index])
            cost[2] += int(self._cycles[index])
        costs = [Cost(name, *cost) for name, cost in sums.items()]
        return tuple(sorted(costs, key=lambda c: (-(c.cycles or 0), c.name)))

    def inclusive(self, watch: int, name: str) -> Cost:
        """The cost of a watched function in the measured region, with all that it calls."""
        inside = self._region_mask() & self._active(watch)
        entries = self._steps[inside & (self._steps["block"] == self._watches[watch])]
        names: dict[int, str] = {}
        function = self._name(self._watches[watch], names)
        calls = sum(int(s["count"]) for s in entries if self._is_call(s, function, names))
        return Cost(name, calls, int(self._instructions[inside].sum()), int(self._cycles[inside].sum()))

    def _region_mask(self) -> npt.NDArray[np.bool_]:
        return self._active(0) if self._has_roi else np.ones(len(self._steps), np.bool_)

    def _active(self, watch: int) -> npt.NDArray[np.bool_]:
        active = np.array([watch in chain for chain in self._chains], np.bool_)
        return active[self._steps["context"].astype(np.intp)]

    def _name(self, address: int, names: dict[int, str]) -> str:
        if address not in names:
            function = self._image.function_at(address)
            names[address] = NO_SYMBOL if function is None else function.name
        return names[address]

    def _is_call(self, step: np.void, name: str, names: dict[int, str]) -> bool:
        """Entered at its first instruction from elsewhere; a loop back to the first instruction is none."""
        symbol = self._image.symbols.get(name)
        starts = symbol is not None and int(step["block"]) == symbol.address
        return starts and self._name(int(step["origin"]), names) != name

"""A sliding window: each output is that of the last rows, and only what is new is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import cycle, repeat
from pathlib import Path

import numpy as np
import pytest

from tests.equality import TAIL, build
from tests.schedule import toys
from tests.schedule.networks import Network
from tests.schedule.test_pushed import harmed
from tinycompile.api import import_model
from tinycompile.boards import load_board
from tinycompile.errors import InternalError, UsageError
from tinycompile.ir import Array, Graph, Pad, Tensor, verify
from tinycompile.ops import Add, AveragePool2D, Concat, Conv2D, MaxPool2D, Reshape, Slice, Unary
from tinycompile.ops.unary import Step
from tinycompile.quantize import Recipe, quantize
from tinycompile.schedule import Goal, Program, schedule
from tinycompile.schedule.program import Arrival, Call, Stream
from tinycompile.schedule.pushed import pushed
from tinycompile.schedule.search import trade_offs
from tinycompile.simulate import Host, PushedHost, arena, compare, reference, slide

LARGE = toys.board(1 << 20)
HOPS = 50
"""Windows behind the first one that are compared."""


class Recurrent(Network):
    """A network over time steps, without padding over them."""

    def step(self, images: list[str]) -> str:
        """A random op on the last image, perhaps with an older one cut to its length."""
        rng, x = self.rng, images[-1]
        height, width = self.tensors[x].hw
        kind = str(rng.choice(["conv", "depthwise", "max", "mean", "table", "add", "concat"]))
        if kind == "table":
            return self.add(Unary, x, steps=(Step("sigmoid"),))
        if kind in ("add", "concat"):
            others = [n for n in images[:-1] if self.tensors[n].hw[0] >= height and self.tensors[n].hw[1] == width]
            others = [n for n in others if kind == "concat" or self.tensors[n].channels == self.tensors[x].channels]
            if not others:
                return self.add(Unary, x, steps=(Step("sigmoid"),))
            other = self.crop(str(rng.choice(others)), height)
            return self.add(Add, other, x) if kind == "add" else self.add(Concat, other, x, axis=3)
        kernel = (int(rng.integers(1, min(6, height) + 1)), int(rng.integers(1, min(3, width) + 1)))
        stride = (int(rng.choice([1, 1, 2])), 1)
        side = int(rng.integers(0, kernel[1]))
        return self.unpadded(x, kind, kernel, stride, Pad(0, side, 0, side))

    def unpadded(self, x: str, kind: str, kernel: tuple[int, int], stride: tuple[int, int], pad: Pad = Pad()) -> str:
        """A convolution or a pool with padding at the sides at most."""
        channels = self.tensors[x].channels
        if kind in ("max", "mean"):
            return self.add(MaxPool2D if kind == "max" else AveragePool2D, x, kernel=kernel, stride=stride, pad=pad)
        groups = channels if kind == "depthwise" else 1
        out = channels if groups > 1 else int(self.rng.integers(1, 9))
        w, b = self.constants((out, *kernel, channels // groups))
        return self.add(Conv2D, x, w, b, kernel=kernel, stride=stride, pad=pad, groups=groups)

    def crop(self, x: str, height: int) -> str:
        """Some rows of an image that is higher."""
        shape = self.tensors[x].shape
        if shape[1] == height:
            return x
        top = int(self.rng.integers(0, shape[1] - height + 1))
        stops = (1, top + height, *shape[2:])
        return self.add(Slice, x, starts=(0, top, 0, 0), stops=stops, steps=(1, 1, 1, 1))

    def end(self, x: str) -> Graph:
        """A convolution, or a mean, over all time steps that are left, and a classifier."""
        height, _ = self.tensors[x].hw
        kind = str(self.rng.choice(["conv", "depthwise", "mean", "max"]))
        y = self.unpadded(x, kind, (height, 1), (int(self.rng.integers(1, 4)), 1))
        return self.classify(y, 3) if self.rng.random() < 0.6 else verify(
            Graph("still", ("image",), (y,), tuple(self.ops), self.tensors)
        )  # fmt: skip


def network(seed: int) -> Graph:
    """A random network over time."""
    rng = np.random.default_rng(seed)
    net = Recurrent((1, int(rng.integers(8, 40)), int(rng.choice([1, 1, 4])), int(rng.integers(1, 5))), seed)
    images = ["image"]
    for _ in range(int(rng.integers(1, 7))):
        images.append(net.step(images))
        if net.tensors[images[-1]].hw[0] < 3:
            break
    return net.end(images[-1])


def wake_word(rows: int = 30) -> Graph:
    """Like the wake word detector of MLPerf Tiny."""
    net = Recurrent((1, rows, 1, 8))
    x = "image"
    for height in (3, 5, 10, 13):
        x = net.conv(net.unpadded(x, "depthwise", (height, 1), (1, 1)), 16)
    return net.classify(net.unpadded(x, "depthwise", (rows - 27, 1), (1, 1)), 3)


def series() -> Graph:
    """Time steps as they come from a file, (1, steps, channels), and a branch that begins later."""
    net = Recurrent((1, 24, 3))
    x = net.add(Reshape, "image", shape=(1, 24, 1, 3))
    y = net.unpadded(net.unpadded(x, "conv", (4, 1), (2, 1)), "max", (2, 1), (2, 1))
    z = net.unpadded(net.crop(x, 20), "mean", (4, 1), (4, 1))
    return net.end(net.add(Concat, y, z, axis=3))


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    """Random networks over which a window slides."""
    found = [schedule(graph, LARGE, Goal(sliding=True)) for graph in (wake_word(), series())]
    refused = []
    for seed in range(40):
        try:
            found.append(schedule(network(seed), LARGE, Goal(sliding=True)))
        except UsageError as error:
            refused.append(str(error))
    assert len(found) >= 25, refused
    assert all("move on by" in why for why in refused), refused
    assert {facts(p)[1] for p in found} >= {1, 2, 4}
    return found


@pytest.fixture(scope="module")
def library(programs: list[Program], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them as checked builds."""
    return build(programs, tmp_path_factory.mktemp("sliding"))[0]


def facts(program: Program) -> tuple[int, int]:
    """Rows of a window, and of a hop."""
    found = pushed(program)
    assert found is not None and found.hop is not None
    return found.rows, found.hop


def window(program: Program) -> Tensor:
    """The input that the resident build takes."""
    (name,) = program.graph.inputs
    return program.graph.tensors[name]


def steps(program: Program, hops: int = HOPS) -> Array:
    """Random time steps for so many hops, and some of one more; uint8[rows, bytes of a row]."""
    rows, hop = facts(program)
    size = rows + hops * hop + hop - 1, window(program).nbytes // rows
    return np.random.default_rng(5).integers(0, 256, size, dtype=np.uint8)


def expected(program: Program, rows: Array) -> Iterator[dict[str, Array]]:
    """The reference on each window."""
    (height, hop), image = facts(program), window(program)
    for top in range(0, len(rows) - height + 1, hop):
        values = rows[top : top + height].view(np.int8).reshape(image.shape)
        yield reference(program.graph, {image.name: values})


def test_each_output_is_that_of_the_last_rows(programs: list[Program]) -> None:
    for program in programs:
        rows = steps(program)
        found = list(slide(program, rows))
        assert len(found) == HOPS + 1
        for one, other in zip(expected(program, rows), found, strict=True):
            compare(one, other, names=("reference", f"arena of {program.graph}"))


def test_rows_come_in_any_chunks(programs: list[Program], library: Path) -> None:
    rng = np.random.default_rng(2)
    for i, program in enumerate(programs):
        host = PushedHost(library, program, name=f"case{i}", arena_bytes=program.arena_bytes + TAIL)
        rows = steps(program)
        wanted = list(expected(program, rows))
        for chunks in (repeat(1), repeat(0), iter(lambda: int(rng.integers(0, 5)), None)):
            found = list(host.slide(rows, chunks))
            assert len(found) == HOPS + 1
            for one, other in zip(wanted, found, strict=True):
                compare(one, other, names=("reference", f"host of {program.graph}"))


def test_run_is_one_window(programs: list[Program], library: Path) -> None:
    for i, program in enumerate(programs):
        host = Host(library, program.graph, run=f"case{i}_run", arena_bytes=program.arena_bytes + TAIL)
        image = window(program)
        for seed in range(3):
            values = np.random.default_rng(seed).integers(-128, 128, image.shape, np.int8)
            inputs = {image.name: values}
            compare(reference(program.graph, inputs), arena(program, inputs), names=("reference", "arena"))
            compare(reference(program.graph, inputs), host(inputs), names=("reference", "host"))


def test_a_hop_makes_each_new_row_once(programs: list[Program]) -> None:
    for program in programs:
        stage = program.steps[0]
        assert isinstance(stage, Stream)
        rows = Counter(call.output.tensor for call in stage.calls)
        for hop in stage.hops:
            again = Counter(event.op.output for event in hop if isinstance(event, Call))
            assert set(again) == set(rows)
            for name, count in again.items():
                height = program.graph.tensors[name].shape[1]
                assert count == 1 if height == 1 else count < rows[name] <= height
            assert isinstance(hop[0], Arrival)


def test_the_wake_word_makes_one_column_a_step() -> None:
    program = schedule(wake_word(), LARGE, Goal(sliding=True))
    stage = program.steps[0]
    assert isinstance(stage, Stream) and facts(program) == (30, 1)
    for hop in stage.hops:
        assert sorted(Counter(e.op.name for e in hop if isinstance(e, Call)).values()) == [1] * len(stage.body)
        assert sum(isinstance(e, Arrival) for e in hop) == 1


def test_rows_behind_a_window_are_refused(programs: list[Program], library: Path) -> None:
    program = programs[0]
    host = PushedHost(library, program, name="case0", arena_bytes=program.arena_bytes + TAIL)
    height, _ = facts(program)
    rows = steps(program)
    wanted = list(expected(program, rows))
    assert host.push(rows[: height + 1]) == 5
    assert host.push(rows[:height]) == 0
    compare(wanted[0], host.outputs(), names=("reference", "host"))
    assert host.push(rows[height : height + 2]) == 5
    assert host.push(rows[height : height + 1]) == 0
    compare(wanted[1], host.outputs(), names=("reference", "host"))
    host.start()
    assert host.push(rows[: height - 1]) == 3 and host.push_in_place(rows[height - 1]) == 0
    compare(wanted[0], host.outputs(), names=("reference", "host"))


def test_a_write_outside_is_noticed_in_a_later_window(tmp_path: Path) -> None:
    program = schedule(wake_word(), LARGE, Goal(sliding=True))
    later = f"if (at > {len(program.steps[0].events) + 30}) arena[{program.arena_bytes + TAIL - 1}] = 0;"  # type: ignore[union-attr]
    host = harmed(program, later, tmp_path)
    rows, (height, _) = steps(program), facts(program)
    assert host.push(rows[:height]) == 0
    assert 2 in [host.push(row[None]) for row in rows[height : height + 10]]


def test_rings_may_lie_in_several_memories(tmp_path: Path) -> None:
    graph = wake_word()
    small = load_board("stm32h743").with_memory({"dtcm": 256, "sram": 4096 + 512, "sram_d2": 512})
    program = schedule(graph, small, Goal(sliding=True))
    assert len(program.banks) > 1
    host = PushedHost(build([program], tmp_path)[0], program, name="case0", arena_bytes=program.arena_bytes + TAIL)
    rows = steps(program)
    for one, other in zip(expected(program, rows), host.slide(rows, repeat(1)), strict=True):
        compare(one, other, names=("reference", "host"))


def test_trade_offs_of_a_window_all_slide() -> None:
    found = trade_offs(wake_word(), LARGE, Goal(sliding=True))
    assert found and all(facts(program) == (30, 1) for program in found)


def test_the_least_sram_is_no_more(programs: list[Program]) -> None:
    for program in programs[:10]:
        assert schedule(program.graph, LARGE, Goal("sram", sliding=True)).arena_bytes <= program.arena_bytes


def test_a_program_that_does_not_slide_says_so() -> None:
    program = schedule(wake_word(), LARGE, Goal(pushed=True))
    with pytest.raises(InternalError, match="no window slides"):
        next(slide(program, np.zeros((40, 8), np.uint8)))


def test_the_wake_word_detector_of_mlperf(shared: Path, tmp_path: Path) -> None:
    graph = quantize(import_model(shared / "models" / "mlperf_sww_1dcnn.onnx"), None, Recipe()).graph
    program = schedule(graph, LARGE, Goal(sliding=True))
    assert facts(program) == (30, 1) and program.arena_bytes <= 5 * 1024
    macs = [sum(c.op.features(c.io(graph)).macs for c in calls) for calls in (program.unrolled(), program.hop)]
    assert macs == [826_368, 46_040]
    host = PushedHost(build([program], tmp_path)[0], program, name="case0", arena_bytes=program.arena_bytes + TAIL)
    rows = steps(program)
    for one, here, there in zip(
        expected(program, rows), slide(program, rows), host.slide(rows, cycle((1, 0))), strict=True
    ):
        compare(one, here, names=("reference", "arena"))
        compare(one, there, names=("reference", "host"))

"""Streamed input: rows that are pushed, in whatever portions, give what the resident input gives."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from tests.equality import TAIL, build, compiler
from tests.schedule import toys
from tests.schedule.networks import Network, mobile
from tests.schedule.wild import wild
from tinycompile.codegen import render
from tinycompile.errors import DoesNotFit, UsageError
from tinycompile.ir import DType, Graph, verify
from tinycompile.schedule import Goal, Plan, Program, Stage, schedule
from tinycompile.schedule.program import Arrival, View
from tinycompile.schedule.pushed import Pushed, pushed
from tinycompile.simulate import Host, PushedHost, arena, compare, reference

LARGE = toys.board(1 << 20)


def streamed(graph: Graph, rng: np.random.Generator) -> Program | None:
    """A program that the rows of the input are pushed into, as far as some op; None where no op will do."""
    for op in rng.permutation(np.array(graph.ops, dtype=object)):
        try:
            return schedule(graph, LARGE, Goal(plan=Plan((Stage(op.output),), pushed=True)))
        except UsageError:
            continue
    return None


@pytest.fixture(scope="module")
def programs() -> list[tuple[Network, Program]]:
    """Random networks whose input is pushed, and a small MobileNet."""
    found = []
    for seed in range(100):
        net, graph = wild(seed)
        program = streamed(graph, net.rng)
        if program is not None:
            found.append((net, program))
    net, graph = mobile()
    (*_, last) = (op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4)
    found.append((net, schedule(graph, LARGE, Goal(plan=Plan((Stage(last),), pushed=True)))))
    assert len(found) >= 20
    return found


@pytest.fixture(scope="module")
def library(programs: list[tuple[Network, Program]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them as checked builds."""
    return build([program for _, program in programs], tmp_path_factory.mktemp("pushed"))[0]


def test_a_pushed_program_begins_with_a_row_and_takes_in_all(programs: list[tuple[Network, Program]]) -> None:
    for net, program in programs:
        facts = pushed(program)
        assert facts is not None
        events = list(program.events())
        assert isinstance(events[0], Arrival)
        slots = [facts.slot(e) for e in events if isinstance(e, Arrival)]
        assert slots == [y % facts.slots for y in range(facts.rows)]
        assert facts.rows * facts.row_bytes == program.graph.tensors["image"].nbytes
        inputs = net.image()
        compare(reference(program.graph, inputs), arena(program, inputs), names=("reference", "arena"))


def test_run_pushes_all_rows(programs: list[tuple[Network, Program]], library: Path) -> None:
    for i, (net, program) in enumerate(programs):
        host = Host(library, program.graph, run=f"case{i}_run", arena_bytes=program.arena_bytes + TAIL)
        for _ in range(2):
            inputs = net.image()
            compare(reference(program.graph, inputs), host(inputs), names=("reference", f"host of {program.graph}"))


def portions(rows: int, rng: np.random.Generator) -> Iterator[Iterator[int]]:
    """Ways to push an input: row by row, in place, by twos, at random, all at once."""
    yield repeat(1)
    yield repeat(0)
    yield iter([2] * (rows // 2) + [1])
    yield iter([rows])
    left, chunks = rows, []
    while left:
        chunks.append(int(rng.integers(0, left + 1)))
        left -= max(chunks[-1], 1)
    yield iter(chunks)


def test_rows_come_in_any_portions(programs: list[tuple[Network, Program]], library: Path) -> None:
    for i, (net, program) in enumerate(programs):
        host = PushedHost(library, program, name=f"case{i}", arena_bytes=program.arena_bytes + TAIL)
        for chunks in portions(host.rows, net.rng):
            inputs = net.image()
            found = host.infer(inputs, chunks)
            compare(reference(program.graph, inputs), found, names=("reference", f"host of {program.graph}"))


def test_an_inference_is_abandoned_at_any_row(programs: list[tuple[Network, Program]], library: Path) -> None:
    for i, (net, program) in list(enumerate(programs))[-8:]:
        host = PushedHost(library, program, name=f"case{i}", arena_bytes=program.arena_bytes + TAIL)
        for some in range(0, host.rows, 3):
            if some:
                assert host.push(np.full((some, host.row_bytes), 77, np.uint8)) == 3
            host.start()
            inputs = net.image()
            compare(reference(program.graph, inputs), host.infer(inputs, repeat(1)), names=("reference", "host"))


def test_what_makes_no_sense_is_refused_and_changes_nothing(
    programs: list[tuple[Network, Program]], library: Path
) -> None:
    net, program = programs[-1]
    host = PushedHost(library, program, name=f"case{len(programs) - 1}", arena_bytes=program.arena_bytes + TAIL)
    rows = np.zeros((host.rows + 1, host.row_bytes), np.uint8)
    inputs = net.image()
    (image,) = inputs.values()
    image = image.view(np.uint8).reshape(host.rows, -1)
    assert host.push(rows) == 5 and host.push(rows[:0]) == 5
    assert host.push(image[:10]) == 3
    assert host.push(rows[:-10]) == 5 and host.push(rows[:0]) == 5
    assert host.push(image[10:]) == 0
    compare(reference(program.graph, inputs), host.outputs(), names=("reference", "host"))


def test_a_library_that_was_not_started_says_so(programs: list[tuple[Network, Program]], library: Path) -> None:
    _, program = programs[-1]
    host = PushedHost(library, program, name=f"case{len(programs) - 1}", arena_bytes=program.arena_bytes + TAIL)
    assert program.position is not None
    row = np.zeros(host.row_bytes, np.uint8)
    call = next(i for i, event in enumerate(program.events()) if not isinstance(event, Arrival))
    for wrong in (-1, 1 << 30, call):
        host.memory[program.position : program.position + 4].view(np.int32)[0] = wrong
        assert host.push(row[None]) == 4 and host.push_in_place(row) == 4
    host.start()
    assert host.push_in_place(row) == 3


def test_an_arena_that_is_none_is_refused(programs: list[tuple[Network, Program]], library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    loaded.case0_next_row.restype = ctypes.c_void_p
    for wrong in (None, ctypes.c_void_p(4100)):
        assert loaded.case0_start(wrong) == 1 and loaded.case0_push_rows(wrong, None, 1) == 1
        assert loaded.case0_run(wrong, None, None) == 1 and loaded.case0_next_row(wrong) is None
    size = programs[0][1].arena_bytes + TAIL
    memory = np.zeros(size + 16, np.uint8)
    at = ctypes.c_void_p(memory.ctypes.data + -memory.ctypes.data % 16)
    assert loaded.case0_run(at, None, None) == 5


def harmed(program: Program, statement: str, folder: Path) -> PushedHost:
    """A checked build that runs a statement more behind each row that arrives."""
    sources = render(program, name="harmed", checked=True)
    text = sources.files["harmed.c"]
    wild = text.replace("count--;", f"count--; {statement}")
    assert wild != text
    replace(sources, files={**sources.files, "harmed.c": wild}).write(folder)
    files = [str(folder / name) for name in ("harmed.c", "harmed_weights.c")]
    library = folder / "harmed.so"
    subprocess.run([*compiler(), "-std=c99", "-shared", "-fPIC", "-o", str(library), *files], check=True)
    return PushedHost(library, program, name="harmed", arena_bytes=program.arena_bytes + TAIL)


def test_a_write_outside_is_noticed_with_the_next_row(programs: list[tuple[Network, Program]], tmp_path: Path) -> None:
    _, program = programs[-1]
    host = harmed(program, f"arena[{program.arena_bytes + TAIL - 1}] = 0;", tmp_path)
    assert host.push_in_place(np.zeros(host.row_bytes, np.uint8)) == 2


def test_what_is_pushed_and_fits_nowhere_says_so() -> None:
    """Its streams are all too large to be looked at, but there are some."""
    net = Network((1, 8, 8, 4))
    graph = verify(Graph("wide", ("image",), (net.conv("image", 16, 3),), tuple(net.ops), net.tensors))
    with pytest.raises(DoesNotFit) as caught:
        schedule(graph, LARGE, Goal(ram=1000, pushed=True))
    assert caught.value.needed > 1024


def test_rows_of_wide_elements_are_counted_in_elements() -> None:
    facts = Pushed(View("x", 64, (1, 9, 4, 3), 24, 0, 5), DType.INT16, 0)
    assert (facts.rows, facts.row_bytes, facts.row_elements, facts.ring_bytes) == (9, 24, 12, 120)
    assert facts.slot(Arrival(View("x", 64 + 3 * 24, (1, 1, 4, 3), 24, 3, 5))) == 3

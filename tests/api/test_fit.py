"""The best program that fits with its own firmware: true stacks and variables, budgets, and what would help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tinycompile
from tests.schedule import toys
from tests.schedule.test_schedule import blow_up
from tinycompile.api import Built, Options
from tinycompile.api.fit import LEAST, STEPS, Limits, fit
from tinycompile.boards import all_boards
from tinycompile.deploy import Console, ToolchainName
from tinycompile.deploy.image import read_image
from tinycompile.errors import DoesNotFit
from tinycompile.ir import Graph
from tinycompile.schedule import Goal, Program, prices, schedule
from tinycompile.schedule.nearest import MOST
from tinycompile.schedule.search import trade_offs

TINY = """
name = "tiny"
core = "cortex-m4"
features = ["dsp"]
clock_hz = 25_000_000
memory = [
    { name = "flash", origin = 0x0000_0000, size = "256K" },
    { name = "sram", origin = 0x2000_0000, size = "%s" },
]
platform = "mps2"
emulator = "cortex-m4"

[settings]
counter = 0x4002_8018

[console]
base = 0x4000_4000
clock_hz = 25_000_000
baud = 115200
"""
GCC = pytest.param("gcc", marks=pytest.mark.gcc)
QUICK = Options(verify_samples=0)
STREAMED = Goal(pushed=True)


@pytest.fixture
def keyword(example: Path) -> Path:
    """A model that takes 9,792 bytes layer by layer, and a good half of that in stages."""
    return example / "kws_dscnn.onnx"


def build(model: Path, folder: Path, options: Options, board: str = "stm32l4r5") -> Built:
    return tinycompile.build(model, board, folder / "out", options, force=True)


def check_sram(made: Built, limit: int) -> dict[str, Any]:
    """The stack lies below everything else, nothing reaches beyond the limit, and the report adds up to the byte."""
    memory: dict[str, Any] = made.report["memory"]
    image, ram = read_image(made.firmware.elf), made.firmware.board.ram
    inside = [s for s in image.sections if s.address in ram]
    (stack,) = (s for s in inside if s.name == ".stack")
    assert stack.address == ram.origin and stack.size == memory["stack_reserved"] >= made.firmware.stack.bytes
    assert all(s.address >= ram.origin + stack.size for s in inside if s != stack)
    assert max(s.address + s.size for s in inside) - ram.origin == memory["sram_bytes"] <= limit
    parts = ("arena_declared", "stack_reserved", "variables_bytes", "input_copy_bytes", "weights_ram_bytes")
    assert sum(memory[part] for part in parts) == memory["sram_bytes"]
    assert memory["sram_free"] == memory["sram_available"] - memory["sram_bytes"] >= 0
    return memory


def cycles(made: Built) -> int:
    """Predicted cycles of one inference."""
    total: int = made.report["cycles"]["estimated"]
    return total


class Pretended:
    """Plans toys, and pretends to build images of which each has a stack of its own."""

    def __init__(self, graph: Graph, room: int) -> None:
        self.graph, self.board, self.room = graph, toys.board(room), room
        self.built: list[Program] = []

    def plan(self, goal: Goal, program: Program | None = None) -> Any:
        return SimpleNamespace(program=program or schedule(self.graph, self.board, goal))

    def build(self, compiled: Any, *, keep_input: bool | None, weights_in_ram: bool) -> Any:
        self.built.append(compiled.program)
        parts = {"arena": compiled.program.arena_bytes, "stack": stack_of(compiled.program)}
        if sum(parts.values()) > self.room:
            raise DoesNotFit("toy", memory="sram", needed=sum(parts.values()), available=self.room, parts=parts)
        needs = SimpleNamespace(parts=parts, total=sum(parts.values()))
        return SimpleNamespace(compiled=compiled, firmware=SimpleNamespace(needs=needs))


def stack_of(program: Program) -> int:
    """Any bytes, and the same for the same program."""
    return LEAST["uart"] + 37 * duration(program) % 700


def duration(program: Program) -> int:
    """Predicted cycles."""
    return sum(call.cycles(program.graph, "cortex-m4") for call in program.unrolled())


def test_the_fastest_program_that_fits_is_found_whatever_stacks_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "candidates", toys.candidates)
    graph = blow_up(20, 2)
    front = trade_offs(graph, toys.board(1 << 20))
    needs = [(program.arena_bytes + stack_of(program), duration(program)) for program in front]
    assert len(needs) > 4
    limits, rounds = Limits(Goal(), None, "uart", None), set()
    for room in sorted({need + more for need, _ in needs for more in (-1, 0)}):
        work = Pretended(graph, room)
        fitting = [cycles for need, cycles in needs if need <= room]
        if not fitting:
            with pytest.raises(DoesNotFit) as caught:
                fit(work, limits)
            assert caught.value.needed == sum(caught.value.parts.values()) > room
            continue
        found = fit(work, limits).compiled.program
        assert found.arena_bytes + stack_of(found) <= room and duration(found) <= min(fitting)
        rounds.add(len(work.built))
    assert rounds >= {1, 2} and max(rounds) <= STEPS + MOST


@pytest.mark.parametrize(
    ("console", "name", "goal", "keep"),
    [
        pytest.param("uart", "zig", Goal(), None, marks=pytest.mark.slow),
        pytest.param("uart", "zig", STREAMED, None, marks=pytest.mark.slow),
        pytest.param("uart", "gcc", Goal(), True, marks=[pytest.mark.gcc, pytest.mark.slow]),
        pytest.param("uart", "gcc", STREAMED, True, marks=[pytest.mark.gcc, pytest.mark.slow]),
        pytest.param("semihosting", "zig", STREAMED, None, marks=pytest.mark.slow),
        pytest.param("semihosting", "gcc", Goal(), None, marks=[pytest.mark.gcc, pytest.mark.slow]),
    ],
)
def test_a_budget_is_used_to_the_last_byte(
    console: Console, name: ToolchainName, goal: Goal, keep: bool | None, keyword: Path, tmp_path: Path
) -> None:
    options = Options(verify_samples=0, goal=goal, console=console, toolchain=name, keep_input=keep)
    roomy = build(keyword, tmp_path, replace(options, keep_input=bool(keep)))
    most = check_sram(roomy, 1 << 20)["sram_bytes"]
    same = build(keyword, tmp_path, replace(options, sram=most))
    assert check_sram(same, most)["sram_bytes"] == same.report["memory"]["sram_available"] == most
    assert same.compiled.program == roomy.compiled.program
    less = build(keyword, tmp_path, replace(options, sram=most - 1))
    assert check_sram(less, most - 1)["sram_bytes"] < most and cycles(less) >= cycles(roomy)
    with pytest.raises(DoesNotFit) as caught:
        build(keyword, tmp_path, replace(options, sram=4096))
    miss = caught.value
    assert set(miss.parts) >= {"arena", "stack"} and sum(miss.parts.values()) == miss.needed > miss.available == 4096
    assert f"a budget (--sram) of {miss.needed:,} bytes" in str(miss)
    least = build(keyword, tmp_path, replace(options, sram=miss.needed))
    assert check_sram(least, miss.needed)["sram_bytes"] <= miss.needed


@pytest.mark.emulator
@pytest.mark.parametrize("size", ["8K", "12K", "16K"])
@pytest.mark.parametrize("name", [pytest.param("zig", marks=pytest.mark.slow), GCC])
def test_small_boards_run_the_fastest_program_that_they_hold(
    size: str, name: ToolchainName, keyword: Path, tmp_path: Path
) -> None:
    board = tmp_path / "tiny.toml"
    board.write_text(TINY % size)
    made = build(keyword, tmp_path, Options(toolchain=name, verify_samples=1), str(board))
    memory = check_sram(made, int(size[:-1]) << 10)
    assert made.verification.stages[-1] == "emulator"
    assert memory["stack_used"] <= memory["stack_reserved"] and memory["arena_touched"] <= memory["arena_bytes"]
    assert (memory["arena_bytes"] < 8_192) == (size == "8K")  # more memory is used where it makes kernels faster
    assert made.firmware.keeps_input is True  # it is small enough for what is left


@pytest.mark.slow
def test_the_budget_holds_over_several_banks(keyword: Path, tmp_path: Path) -> None:
    sizes = {"dtcm": 4096, "sram": 8192, "sram_d2": 8192}
    full = build(keyword, tmp_path, replace(QUICK, memory=sizes), "stm32h743")
    total = full.report["memory"]["sram_bytes"]
    assert len(full.compiled.program.banks) > 1
    made = build(keyword, tmp_path, replace(QUICK, memory=sizes, sram=total - 1), "stm32h743")
    assert made.report["memory"]["sram_bytes"] < total and cycles(made) >= cycles(full)


@pytest.mark.slow
def test_the_streamed_input_is_proposed_where_it_fits(keyword: Path, tmp_path: Path) -> None:
    streamed = build(keyword, tmp_path, replace(QUICK, goal=Goal("sram", pushed=True)))
    resident = build(keyword, tmp_path, replace(QUICK, goal=Goal("sram"), keep_input=False))
    needed = [made.report["memory"]["sram_bytes"] for made in (streamed, resident)]
    assert needed[0] < needed[1]
    with pytest.raises(DoesNotFit, match=r"build with --input streamed, which needs ([\d,]+) bytes") as caught:
        build(keyword, tmp_path, replace(QUICK, sram=needed[0]))
    assert caught.value.needed > needed[0] == caught.value.available


@pytest.mark.slow
def test_leaving_out_the_copy_of_the_input_is_proposed_where_that_fits(keyword: Path, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match=r"build with --no-keep-input, which needs [\d,]+ bytes") as caught:
        build(keyword, tmp_path, replace(QUICK, keep_input=True, sram=6_400))
    assert caught.value.parts["copy of the input"] == 490


@pytest.mark.slow
def test_layers_share_code_where_flash_is_short(keyword: Path, tmp_path: Path) -> None:
    """The less flash there is, the slower the program, down to the least code; below that none fits."""

    def made(**changes: Any) -> dict[str, Any]:
        facts: dict[str, Any] = build(keyword, tmp_path, replace(QUICK, **changes), "stm32g0b1").report
        return facts

    def cycles(facts: dict[str, Any]) -> int:
        return int(facts["cycles"]["estimated"])

    fast, small = made(), made(goal=Goal("code"))
    page = 4096
    last, first = (facts["memory"]["flash_bytes"] // page * page for facts in (fast, small))
    sizes = range(first + page, last + page, page)
    assert len(sizes) > 2
    found = [fast, *(made(memory={"flash": size}) for size in reversed(sizes))]
    assert [cycles(facts) for facts in found] == sorted(map(cycles, found)) and cycles(found[1]) > cycles(fast)
    assert all(cycles(facts) <= cycles(small) for facts in found)
    own = [layer["flash_code"] > 100 for layer in found[2]["layers"] if layer["op"] == "Conv2D"]
    assert any(own) and not all(own)
    with pytest.raises(DoesNotFit) as caught:
        made(memory={"flash": first})
    assert caught.value.memory == "flash" and caught.value.needed > caught.value.available == first


@pytest.mark.slow
def test_boards_that_would_do_are_named_and_do(keyword: Path, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit) as caught:
        build(keyword, tmp_path, replace(QUICK, memory={"sram": 4096, "flash": 1 << 20}))
    error = str(caught.value)
    assert "a smaller input" in error and "--sram" not in error and "peak at" in error
    names = error.partition("another board: ")[2].split(", ")
    assert set(names) == {b.name for b in all_boards()}  # even the smallest has ten times that
    assert build(keyword, tmp_path, QUICK, "stm32g0b1").report["fits"]


@pytest.mark.slow
def test_a_limit_of_the_arena_alone_holds(keyword: Path, tmp_path: Path) -> None:
    made = build(keyword, tmp_path, replace(QUICK, goal=Goal(ram=9_000)))
    assert made.report["memory"]["arena_bytes"] <= 9_000
    with pytest.raises(DoesNotFit) as caught:
        build(keyword, tmp_path, replace(QUICK, goal=Goal(ram=2_000)))
    assert caught.value.parts["arena"] > 2_000 and caught.value.needed > caught.value.available

"""Firmware with a streamed input: rows go from the file or the console into the ring, and no frame is held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.deploy.test_firmware import answers
from tests.schedule.networks import Network, mobile
from tinycompile.api.session import run_firmware, run_in_qemu
from tinycompile.boards import load_board
from tinycompile.codegen import Sources, render
from tinycompile.deploy import Console, build_firmware
from tinycompile.ir import Array
from tinycompile.schedule import Goal, Plan, Program, Stage, schedule
from tinycompile.schedule.pushed import pushed
from tinycompile.simulate import compare, reference
from tinycompile.simulate.emulator import emulate

pytestmark = pytest.mark.emulator


def streamed() -> tuple[Network, Program, Sources]:
    """A small MobileNet, streamed to its last image."""
    net, graph = mobile()
    last = next(op.output for op in reversed(graph.ops) if len(graph.tensors[op.output].shape) == 4)
    program = schedule(graph, load_board("stm32l4r5"), Goal(plan=Plan((Stage(last),), pushed=True)))
    return net, program, render(program, name="net")


@pytest.mark.parametrize("console", ["semihosting", "uart"])
@pytest.mark.parametrize("name", ["stm32g0b1", "stm32l4r5"])
def test_rows_go_into_the_ring(name: str, console: Console, tmp_path: Path) -> None:
    board, (net, program, sources) = load_board(name), streamed()
    inputs = net.image()
    firmware = build_firmware(sources, board, tmp_path, console=console)
    ran = run_firmware(
        firmware.elf, board, program, inputs,
        console=console, run=sources.entry, layers=tuple(sources.layers), touched=True,
    )  # fmt: skip
    compare(reference(program.graph, inputs), ran.outputs, names=("reference", "emulator"))
    cost, facts = ran.cost, pushed(program)
    assert facts is not None and not firmware.keeps_input
    assert cost.touched["tc_arena"].high_water <= program.arena_bytes
    assert firmware.static_ram_bytes < program.arena_bytes + 700 < program.arena_bytes + 32 * facts.row_bytes
    assert cost.region_stack_bytes is not None and cost.region_stack_bytes <= firmware.run_stack.bytes
    layers = sum(layer.cycles or 0 for layer in cost.layers)
    assert cost.cycles is not None and layers < cost.cycles < 1.03 * layers  # all calls, and little besides


@pytest.mark.qemu
def test_it_runs_in_qemu(tmp_path: Path) -> None:
    board, (net, program, sources) = load_board("mps2-an386"), streamed()
    inputs = net.image()
    firmware = build_firmware(sources, board, tmp_path, console="semihosting")
    ran = run_in_qemu(firmware.elf, board, program, inputs, run=sources.entry)
    compare(reference(program.graph, inputs), ran.outputs, names=("reference", "QEMU"))
    here = run_firmware(firmware.elf, board, program, inputs, console="semihosting", run=sources.entry)
    assert ran.cost.instructions == here.cost.instructions


def loads(image: Array) -> list[bytes]:
    """The commands that load these bytes."""
    data = image.tobytes()
    return [
        b"db load %d%%" % len(data),
        *(b"db " + data[i : i + 100].hex().encode() + b"%" for i in range(0, len(data), 100)),
    ]


def results(program: Program, image: Array) -> str:
    """What the firmware must answer."""
    (name,) = program.graph.outputs
    output = program.graph.tensors[name]
    real = output.q.decode(reference(program.graph, {"image": image})[name].reshape(-1))
    return "m-results-[" + ",".join(f"{v:.6f}" for v in real) + "]"


def test_the_dialogue_of_a_streamed_input(tmp_path: Path) -> None:
    board, (net, program, sources) = load_board("stm32l4r5"), streamed()
    firmware = build_firmware(sources, board, tmp_path)
    image, other = (net.image()["image"] for _ in range(2))
    half = [b"db load 3072%", *loads(other)[1:15]]
    commands = [
        *half, b"infer 1 0%", b"db print%", *loads(image), b"infer 2 0%", b"infer 1 1%", b"results%", b"infer 1 0%",
        b"infer 1 0%", b"results%", *loads(other), b"infer 1 0%",
    ]  # fmt: skip
    said = answers(emulate(firmware.elf, board, uart_input=commands).console)[1:-1]
    said = said[len(half) :]
    assert said[0] == ["e-[Input holds 1400 of 3072 bytes; load it with db]"]
    assert said[1] == ["e-[A streamed input is not kept]"]
    said = said[2 + len(loads(image)) - 1 :]
    assert said[0] == ["m-load-done"]
    refused = ["e-[A streamed input is not kept: load it before each inference and use 'infer 1 0']"]
    assert said[1] == said[2] == refused
    assert said[3] == ["e-[No results: use 'infer' first]"]
    assert said[4][:3] == ["m-warmup-start-0", "m-warmup-done", "m-infer-start-1"]
    assert said[4][6].startswith("m-[Rows were pushed as they came in, in ")
    assert 1000 < int(said[4][6].split()[-2]) < 10000
    assert said[4][7] == results(program, image)
    assert said[5] == ["e-[Input holds 0 of 3072 bytes; load it with db]"]
    assert said[6] == [results(program, image)]
    assert said[-1][-1] == results(program, other)
    assert not np.array_equal(image, other) and said[6] != [results(program, other)]


def test_a_kept_input_is_pushed_from_its_buffer(tmp_path: Path) -> None:
    board, (net, program, sources) = load_board("stm32l4r5"), streamed()
    firmware = build_firmware(sources, board, tmp_path, keep_input=True)
    assert firmware.keeps_input and firmware.static_ram_bytes > program.arena_bytes + 3072
    image = net.image()["image"]
    commands = [*loads(image), b"db print%", b"infer 2 1%"]
    said = answers(emulate(firmware.elf, board, uart_input=commands).console)[:-1]
    assert len(said[-2]) == 3072 // 8
    laps = [int(line.removeprefix("m-lap-us-")) for line in said[-1][3:5]]
    assert laps[1] - laps[0] > 4_000
    assert said[-1][-1] == results(program, image)


def test_a_status_of_the_model_is_reported(tmp_path: Path) -> None:
    board, (net, _, sources) = load_board("stm32l4r5"), streamed()
    text = sources.files["net.c"].replace("return TC_MORE;", "return at > 50 ? TC_CANARY : TC_MORE;")
    assert text != sources.files["net.c"]
    broken = Sources(sources.name, {**sources.files, "net.c": text}, sources.run, sources.layers, sources.push)
    image = net.image()["image"]
    serial = build_firmware(broken, board, tmp_path / "uart")
    said = answers(emulate(serial.elf, board, uart_input=[*loads(image), b"infer 1 0%", b"results%"]).console)[:-1]
    assert said[-2][-1] == "e-[Inference failed with status 2]"
    assert said[-1] == ["e-[No results: use 'infer' first]"]
    hosted = build_firmware(broken, board, tmp_path / "semi", console="semihosting")
    assert emulate(hosted.elf, board, files={"input.bin": image.tobytes()}).exit_status == 3

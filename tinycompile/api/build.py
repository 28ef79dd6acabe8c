"""``tinycompile build``: a model file to a folder with C, host library, firmware and report."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tinycompile.api.compile import Compiled, import_model, plan_graph, quantize_graph
from tinycompile.api.estimate import flash_parts
from tinycompile.api.fit import Images, Limits, fit
from tinycompile.api.verify import Verification, verification_inputs, verify_stages
from tinycompile.boards import Board, load_board
from tinycompile.codegen.names import identifier
from tinycompile.data import Layout, Preprocessing, Samples, load_samples
from tinycompile.deploy import Firmware, Toolchain, build_firmware, build_host, find_toolchain
from tinycompile.errors import DoesNotFit, UsageError
from tinycompile.ir import Graph, Rounding, Shape
from tinycompile.passes import without_dead_channels
from tinycompile.progress import Progress
from tinycompile.quantize import Quantized, Recipe
from tinycompile.report import make_report
from tinycompile.schedule import Goal, Program

Console = Literal["uart", "semihosting"]
REPORT = "report.json"


@dataclass(frozen=True)
class Options:
    """How to read, quantise, plan and build a model; the defaults are the command line's."""

    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    calibration: Path | None = None
    preprocessing: Preprocessing | None = None
    layout: Layout | None = None
    rounding: Rounding | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    """Other sizes of the board's memory regions, in bytes."""
    goal: Goal = field(default_factory=Goal)
    """What is to be best. ``build`` gives it the ``ram`` that the firmware really leaves; a smaller one holds."""
    sram: int | None = None
    """Bytes that the firmware may use of all the board's SRAM: arena, stack, variables and copy of the input."""
    recipe: Recipe = field(default_factory=Recipe)
    console: Console = "uart"
    toolchain: Literal["zig", "gcc"] = "zig"
    keep_input: bool | None = None
    """Whether the serial firmware has a buffer for the input besides the arena; None: where it is resident and fits."""
    weights_in_ram: bool = False
    """Whether start-up copies the model's constants to the main SRAM, where the firmware then reads them."""
    checked: bool = False
    name: str | None = None
    verify_samples: int = 2
    """Inputs on which all stages are compared; 0 leaves the comparison out, and the report says so."""
    emulate: bool = True


@dataclass(frozen=True)
class Built:
    """What ``build`` made: the folder, and every value on the way."""

    folder: Path
    compiled: Compiled
    firmware: Firmware
    host: Path
    verification: Verification
    report: Mapping[str, Any]


def build(
    model: Path | str,
    board: str | Board,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Built:
    """Compile ``model`` for ``board`` into the folder ``output`` (default: MODEL-BOARD in the working directory).

    The folder appears when everything has succeeded, or not at all. An existing folder is refused unless it is
    empty, or ``force`` is given and it holds an earlier build. Raises the typed errors of every stage.
    """
    model, options, progress = Path(model), options or Options(), progress or Progress()
    target = board if isinstance(board, Board) else load_board(board)
    target = target.with_memory(options.memory)
    folder = Path(output) if output is not None else Path(f"{identifier(model.stem)}-{target.name}")
    with _new_folder(folder, force=force) as draft:
        with progress.stage("import"):
            source = import_model(model, options.input_shapes)
        samples = calibration_samples(source, options, progress)
        name = options.name or model.stem
        quantized = quantize_graph(
            source, target, samples=samples, recipe=options.recipe, rounding=options.rounding, progress=progress,
        )  # fmt: skip
        work = _Work(*quantized, target, options, draft, name, progress)
        images = fit(
            work, Limits(options.goal, options.sram, options.console, options.keep_input, options.weights_in_ram)
        )
        own = str(Path(board).resolve()) if isinstance(board, str) and board.endswith(".toml") else None
        verification, report = work.finish(model, images, samples, own)
    moved = _moved(images.firmware, folder)
    return Built(folder, images.compiled, moved, folder / images.host.name, verification, report)


def calibration_samples(source: Graph, options: Options, progress: Progress) -> Samples | None:
    """The calibration data that ``options`` name, or None for a graph that needs none or a user who gave none."""
    if options.calibration is None:
        return None
    with progress.stage("read calibration data"):
        return load_samples(
            options.calibration, source, options.preprocessing,
            layout=options.layout, limit=options.recipe.samples,
        )  # fmt: skip


@dataclass(frozen=True)
class _Work:
    """What stays the same while programs are planned and built (see ``fit``)."""

    source: Graph
    quantized: Quantized
    board: Board
    options: Options
    draft: Path
    name: str
    progress: Progress

    @cached_property
    def graph(self) -> Graph:
        """What is planned: the int8 graph without dead channels."""
        return without_dead_channels(self.quantized.graph)

    @cached_property
    def toolchain(self) -> Toolchain:
        """The compiler, looked for once."""
        return find_toolchain(self.options.toolchain)

    def plan(self, goal: Goal, program: Program | None = None) -> Compiled:
        """A program, planned where none is given, and its C. Raises DoesNotFit."""
        return plan_graph(
            self.source, self.quantized, self.board, goal,
            program=program, name=self.name, checked=self.options.checked, progress=self.progress,
        )  # fmt: skip

    def build(self, compiled: Compiled, *, keep_input: bool | None, weights_in_ram: bool) -> Images:
        """Firmware and host library of a program. Raises DoesNotFit."""
        options = self.options
        with ThreadPoolExecutor(2) as pool, self.progress.stage("compile host and firmware"):
            host_job = pool.submit(build_host, compiled.sources, self.draft, checked=options.checked)
            try:
                firmware = build_firmware(
                    compiled.sources, compiled.board, self.draft,
                    console=options.console, checked=options.checked, keep_input=keep_input, sram=options.sram,
                    heat=compiled.heat, weights_in_ram=weights_in_ram, toolchain=self.toolchain,
                    optimize=compiled.optimize,
                )  # fmt: skip
            except DoesNotFit as error:
                raise error if error.memory != "flash" else error.using(flash_parts(compiled.program, error)) from None
            return Images(compiled, firmware, host_job.result())

    def finish(
        self, model: Path, images: Images, samples: Samples | None, board_file: str | None
    ) -> tuple[Verification, Mapping[str, Any]]:
        """Write the C, verify and report."""
        compiled, options = images.compiled, self.options
        compiled.sources.write(self.draft)
        inputs = verification_inputs(compiled.graph, samples, options.verify_samples)
        result = verify_stages(
            compiled, images.host, images.firmware, inputs,
            emulated=int(options.emulate), toolchain=self.toolchain, progress=self.progress,
        )  # fmt: skip
        report = make_report(
            model, compiled, images.firmware, images.host, result, self.progress.seconds,
            board_file=board_file, budget=options.sram,
        )  # fmt: skip
        (self.draft / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        return result, report


def _moved(firmware: Firmware, folder: Path) -> Firmware:
    """The firmware under its final paths."""
    return replace(
        firmware,
        elf=folder / firmware.elf.name,
        bin=folder / firmware.bin.name,
        hex=folder / firmware.hex.name,
    )


@contextlib.contextmanager
def _new_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """A draft beside ``folder`` that takes its name at the end; removed on any error."""
    replaced = _check_target(folder, force=force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UsageError(
            f"cannot write to {str(folder.parent)!r}: {error.strerror}", hint="choose another --output"
        ) from error
    try:
        yield draft
        if replaced:
            shutil.rmtree(folder)
        draft.chmod(0o777 & ~_umask())
        os.replace(draft, folder)
    except OSError as error:
        raise _unwritable(error, folder, draft) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unwritable(error: OSError, folder: Path, draft: Path) -> UsageError:
    """What could not be written: the output, or a temporary file that a stage made elsewhere."""
    named = Path(error.filename) if isinstance(error.filename, str) else folder
    if named == folder or draft in (named, *named.parents):
        return UsageError(f"cannot write {str(folder)!r}: {error.strerror}", hint="choose another --output")
    return UsageError(
        f"cannot write {str(named)!r}: {error.strerror}",
        hint="free some space, or set TMPDIR to a folder that you can write to",
    )


def _check_target(folder: Path, *, force: bool) -> bool:
    """Whether ``folder`` exists and may be replaced; UsageError where it may not."""
    if not folder.exists() and not folder.is_symlink():
        return False
    if folder.is_dir() and not any(folder.iterdir()):
        return True
    if folder.is_dir() and force and (folder / REPORT).is_file():
        return True
    hint = "choose another --output"
    if folder.is_dir() and (folder / REPORT).is_file():
        hint += ", or --force to replace this earlier build"
    raise UsageError(f"output {str(folder)!r} exists already", hint=hint)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""``tinycompile run``: a built model on inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinycompile.api.folder import Folder, open_folder
from tinycompile.api.session import run_firmware
from tinycompile.data import Preprocessing, load_samples
from tinycompile.errors import UsageError
from tinycompile.ir import Array, DType
from tinycompile.simulate.emulator import Emulation

Where = Literal["host", "emulator"]
Inference = Callable[[dict[str, Array]], tuple[dict[str, Array], Emulation | None]]


@dataclass(frozen=True)
class Answer:
    """The outputs of one inference: as stored, and as real values in the model file's layout."""

    stored: dict[str, Array]
    real: dict[str, Array]
    label: int | None
    cost: Emulation | None = None


def run(
    folder: Path | str,
    data: Path | str,
    *,
    where: Where = "host",
    preprocessing: Preprocessing | None = None,
    layout: Literal["NHWC", "NCHW"] | None = None,
    limit: int | None = None,
) -> Iterator[Answer]:
    """The answers of a build folder for the samples in ``data`` (.npz, .npy, an image or a folder of images).

    Raises UsageError for a folder or data that make no sense, EmulationFault where the firmware faults.
    """
    opened = open_folder(Path(folder))
    samples = load_samples(Path(data), opened.graph, preprocessing, layout=layout, limit=limit)
    infer = host_inference(opened) if where == "host" else emulated_inference(opened)
    for sample in samples.encoded(opened.graph):
        stored, cost = infer(sample)
        yield answer(opened, stored, cost)


def host_inference(folder: Folder) -> Inference:
    """Inference in the folder's host library; it has no cost."""
    host = folder.host()
    return lambda inputs: (host(inputs), None)


def emulated_inference(folder: Folder) -> Inference:
    """Inference of the folder's firmware in the emulator, with its cost; UsageError where no core is emulated."""
    report = folder.report
    if folder.board.emulator is None:
        raise UsageError(f"{folder.board.name} has no emulated core", hint="run on the host")

    def infer(inputs: dict[str, Array]) -> tuple[dict[str, Array], Emulation | None]:
        ran = run_firmware(
            folder.elf, folder.board, folder.program, inputs,
            console=report["console"], run=report["input"]["push_function"] or report["inference_function"],
        )  # fmt: skip
        return dict(ran.outputs), ran.cost

    return infer


def answer(folder: Folder, stored: dict[str, Array], cost: Emulation | None) -> Answer:
    """Outputs as real values and, for a classifier's first output, the winning class."""
    graph, real = folder.graph, {}
    for name, array in stored.items():
        tensor = graph.tensors[name]
        values = tensor.q.decode(array) if tensor.dtype is not DType.INT32 else array
        real[name] = graph.port(name).to_file(values)
    first = next(iter(stored.values()))
    label = int(first.reshape(-1).argmax()) if first.size > 1 else None
    if label is None and graph.tensors[next(iter(stored))].dtype is DType.INT32:
        label = int(first.reshape(-1)[0])
    return Answer(stored, real, label, cost)

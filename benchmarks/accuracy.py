"""Accuracy of the int8 host library against the float model in ONNX Runtime, on the shared data.

    python benchmarks/accuracy.py [--shared DIR] [--only NAME ...]

Labelled models: accuracy of both. Models without labels: how often the winning class agrees, and the signal to noise
ratio at the first output. Prints Markdown.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from tinycompile.api import compile_graph, import_model
from tinycompile.api.evaluate import onnx_inference
from tinycompile.boards import load_board
from tinycompile.data import Samples, samples_from_arrays
from tinycompile.deploy import build_host
from tinycompile.ir import Array, Graph
from tinycompile.simulate import Host

ROOT = Path(__file__).resolve().parent.parent
Arrays = dict[str, Array]
Data = Callable[[Path], tuple[Arrays, Arrays]]
"""Calibration and test arrays (``x``, optionally ``y``), real values."""


@dataclass(frozen=True)
class Case:
    """A model, where its data come from, and extents of dynamic inputs."""

    model: str
    data: Data
    shapes: dict[str, tuple[int, ...]] | None = None


def npz(path: Path) -> Arrays:
    """All arrays of a file."""
    with np.load(path) as loaded:
        return {key: loaded[key] for key in loaded.files}


def cifar(folder: Path) -> tuple[Arrays, Arrays]:
    """Raw pixels; 512 of the training images, spread over all classes, against 2,000 test images."""
    train, test = npz(folder / "cifar10_train10k.npz"), npz(folder / "cifar10_test2k.npz")
    return {"x": train["x"][:: len(train["x"]) // 512].astype(np.float32)}, {
        "x": test["x"].astype(np.float32),
        "y": test["y"],
    }


def keywords(folder: Path) -> tuple[Arrays, Arrays]:
    """Every fifth input for calibration, the other 560 for the test."""
    data = npz(folder / "kws01_mfcc.npz")
    real = (data["x"].astype(np.float32) - data["zero_point"]) * data["scale"]
    chosen = np.arange(len(real)) % 5 == 0
    return {"x": real[chosen]}, {"x": real[~chosen], "y": data["y"][~chosen]}


def motion(folder: Path) -> tuple[Arrays, Arrays]:
    """Training subjects against test subjects."""
    train, test = npz(folder / "hmp_accel_train.npz"), npz(folder / "hmp_accel_test.npz")
    scaled = [d["x"].astype(np.float32) / 31.5 - 1 for d in (train, test)]
    return {"x": scaled[0][:: max(len(scaled[0]) // 512, 1)]}, {"x": scaled[1], "y": test["y"]}


def digits(folder: Path, size: int) -> tuple[Arrays, Arrays]:
    """scikit-learn's digits; for MNIST models drawn in the middle 20 x 20 of a 28 x 28 image of 0..255."""
    data = npz(folder / "sklearn_digits.npz")
    x = data["x"].astype(np.float32) / 16
    if size == 64:
        x = x.reshape(-1, 64)
    else:
        small = [Image.fromarray((v * 255).astype(np.uint8)).resize((20, 20), Image.Resampling.BICUBIC) for v in x]
        x = np.stack([np.pad(np.asarray(v, np.float32), 4) for v in small])[:, None]
    train, test = data["train_index"], data["test_index"]
    return {"x": x[train]}, {"x": x[test], "y": data["y"][test]}


def wakeword(folder: Path) -> tuple[Arrays, Arrays]:
    """45 spectra; every third for calibration."""
    data = npz(folder / "sww_calibration45.npz")
    x = data["x"].reshape(45, 1, 30, 40).transpose(0, 3, 2, 1)
    chosen = np.arange(45) % 3 == 0
    return {"x": x[chosen]}, {"x": x[~chosen], "y": data["y"][~chosen]}


def machine(folder: Path) -> tuple[Arrays, Arrays]:
    """196 windows of five log-mel frames; every second for calibration."""
    frames = npz(folder / "ad01_normal_one_clip.npz")["logmel"].astype(np.float32)
    x = np.stack([frames[i : i + 5].reshape(-1) for i in range(len(frames) - 4)])
    return {"x": x[::2]}, {"x": x[1::2]}


def photos(size: tuple[int, int], scale: float, mean: float) -> Data:
    """60 photographs at ``size`` (height, width); every second for calibration; value = pixel * scale - mean."""

    def load(folder: Path) -> tuple[Arrays, Arrays]:
        data = npz(folder / "imagenet_samples60_jpeg.npz")
        ends = data["offset"]
        raw = data["jpeg"].tobytes()
        pictures = [Image.open(io.BytesIO(raw[a:b])).convert("RGB") for a, b in pairwise(ends)]
        x = np.stack([np.asarray(p.resize((size[1], size[0]), Image.Resampling.BILINEAR)) for p in pictures])
        x = x.astype(np.float32) * scale - mean
        x = x.transpose(0, 3, 1, 2)
        return {"x": x[::2]}, {"x": x[1::2]}

    return load


CASES = {
    "ic": Case("mlperf_ic_resnet8", cifar),
    "kws": Case("mlperf_kws_dscnn", keywords),
    "har": Case("har_sepconv1d_hmp", motion),
    "mnist": Case("onnxzoo_mnist_opt", lambda folder: digits(folder, 28)),
    "digits": Case("skl2onnx_mlp_digits", lambda folder: digits(folder, 64)),
    "sww": Case("mlperf_sww_1dcnn", wakeword),
    "ad": Case("mlperf_ad_autoencoder", machine),
    "vww": Case("mlperf_vww_mobilenetv1_025_96", photos((96, 96), 1 / 255, 0)),
    "vww80": Case("tinyengine_mcunet_vww", photos((80, 80), 1 / 127.5, 1)),
    "flowers": Case("st_mobilenet_v2_035_128_flowers", photos((128, 128), 1 / 127.5, 1)),
    "textangle": Case("ppocr_textangle_cls", photos((48, 192), 1 / 127.5, 1), {"x": (1, 3, 48, 192)}),
    "mcunetv2": Case("mcunetv2_large_rescaled", photos((224, 224), 1 / 255, 0)),
    "face": Case("ultralight_face_slim320", photos((240, 320), 1 / 128, 127 / 128)),
}


def measure(path: Path, case: Case, data: Path) -> str:
    """One row of the table."""
    source = import_model(path, case.shapes)
    calibration, test = case.data(data)
    samples = samples_from_arrays(calibration, source)
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile_graph(source, load_board("stm32h743").with_memory({"sram": 64 << 20}), samples=samples)
        library = build_host(compiled.sources, Path(folder))
        host = Host(library, compiled.graph, run=compiled.sources.run, arena_bytes=compiled.program.arena_bytes)
        return _row(compiled.graph, host, path, samples_from_arrays(test, source))


def _row(graph: Graph, host: Host, path: Path, samples: Samples) -> str:
    infer, ours, theirs = onnx_inference(path), [], []
    for real, stored in zip(samples, samples.encoded(graph), strict=True):
        outputs = host(stored)
        name = graph.outputs[0]
        tensor = graph.tensors[name]
        ours.append(np.ravel(outputs[name] if tensor.quant is None else tensor.q.decode(outputs[name])))
        floats = infer({n: graph.port(n).to_file(x) for n, x in real.items()})
        theirs.append(np.ravel(floats[name]))
    q, f = np.stack(ours).astype(np.float64), np.stack(theirs).astype(np.float64)
    winners = [v[:, 0] if v.shape[1] == 1 else v.argmax(1) for v in (f, q)]
    noise = float(np.square(f - q).sum())
    snr = f"{10 * np.log10(float(np.square(f).sum()) / noise):.1f} dB" if noise else "exact"
    agree = f"{100 * float(np.mean(winners[0] == winners[1])):.2f}"
    if samples.labels is None:
        return f"| {path.stem} | {len(q)} | - | - | - | {agree} | {snr} |"
    real, ints = (100 * float(np.mean(w == samples.labels)) for w in winners)
    return f"| {path.stem} | {len(q)} | {real:.2f} | {ints:.2f} | {ints - real:+.2f} | {agree} | {snr} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--only", nargs="+", choices=CASES, default=tuple(CASES))
    chosen = parser.parse_args(arguments)
    print("| model | inputs | float % | int8 % | difference | agree % | SNR |\n|---|--:|--:|--:|--:|--:|--:|")
    for name in chosen.only:
        case = CASES[name]
        print(measure(chosen.shared / "models" / f"{case.model}.onnx", case, chosen.shared / "data"), flush=True)


if __name__ == "__main__":
    main()

"""Draws docs/pareto.svg: what less memory costs in cycles, for some of the shared models.

    python docs/plot_pareto.py [--models DIR]

Each panel has a model's front (``tinycompile.trade_offs``) with a resident and with a streamed input, layer by layer,
and what others report.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tinycompile.api import Options, trade_offs
from tinycompile.ir import Shape
from tinycompile.schedule import Goal

DOCS = Path(__file__).resolve().parent
COLUMNS, WIDTH, HEIGHT = 2, 460, 180
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 34, 40
COLOURS = {"resident": "#1f5fa8", "streamed": "#c2500a"}
Point = tuple[int, float]
"""Bytes of the arena, and cycles relative to layer by layer."""
TICKS = sorted(part << k for k in range(10, 20) for part in (2, 3))


@dataclass(frozen=True)
class Model:
    """A panel: a shared model, and figures of others in bytes."""

    title: str
    file: str
    elsewhere: Mapping[str, int]
    shapes: Mapping[str, Shape] = field(default_factory=dict)


MODELS = (
    Model("ResNet-8, 32x32", "mlperf_ic_resnet8", {"CMSIS-NN": 49_728}),
    Model("MobileNetV1 0.25, 96x96", "mlperf_vww_mobilenetv1_025_96", {"CMSIS-NN": 64_512}),
    Model("DS-CNN, 49x10", "mlperf_kws_dscnn", {"CMSIS-NN": 16_000}),
    Model("MCUNet VWW, 80x80", "tinyengine_mcunet_vww", {"TinyEngine": 94_008, "its patches": 71_200}),
    Model("MobileNetV2 0.35, 128x128", "st_mobilenet_v2_035_128_flowers", {}),
    Model("Ultra-Light face detector, 240x320", "ultralight_face_slim320", {}),
    Model("MCUNetV2 with squeeze-and-excite, 224x224", "mcunetv2_large_rescaled", {"TinyEngine": 594_712}),
    Model("Text angle with squeeze-and-excite, 48x192", "ppocr_textangle_cls", {}, {"x": (1, 3, 48, 192)}),
)


@dataclass(frozen=True)
class Panel:
    """What a panel shows, and the scales of its axes."""

    model: Model
    layers: int
    fronts: Mapping[str, Sequence[Point]]

    @property
    def _sizes(self) -> list[int]:
        points = [size for front in self.fronts.values() for size, _ in front]
        return [self.layers, *points, *self.model.elsewhere.values()]

    @property
    def top(self) -> float:
        """The largest value of the vertical axis, in steps of 5 %."""
        most = max(cycles for front in self.fronts.values() for _, cycles in front)
        return max(math.ceil((most - 0.005) * 20) / 20, 1.05)

    def x(self, size: float) -> float:
        """The place of some bytes on a logarithmic axis."""
        low, high = math.log(min(self._sizes) / 1.2), math.log(max(self._sizes) * 1.2)
        return LEFT + (math.log(size) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, cycles: float) -> float:
        """The place of some relative cycles; 1 is a little above the axis."""
        low = 1 - 0.1 * (self.top - 1)
        return HEIGHT - BOTTOM - (cycles - low) / (self.top - low) * (HEIGHT - TOP - BOTTOM)

    def draw(self) -> Iterator[str]:
        """The lines of the panel."""
        yield text(LEFT, 18, self.model.title, weight="bold")
        yield from self._axes()
        for name, size in self.model.elsewhere.items():
            yield line([(self.x(size), TOP), (self.x(size), HEIGHT - BOTTOM)], "#888", dash="3 3")
            yield text(self.x(size) - 3, TOP + 4, name, anchor="end", colour="#666", turned=True)
        for name, front in self.fronts.items():
            yield from self._front(name, front)
        x, y = self.x(self.layers), self.y(1)
        yield f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" fill="none" stroke="#222"/>'

    def _axes(self) -> Iterator[str]:
        bottom = HEIGHT - BOTTOM
        yield line([(LEFT, TOP), (LEFT, bottom), (WIDTH - RIGHT, bottom)], "#222")
        for size in TICKS:
            if LEFT <= self.x(size) <= WIDTH - RIGHT:
                yield line([(self.x(size), bottom), (self.x(size), bottom + 4)], "#222")
                yield text(self.x(size), bottom + 17, f"{size >> 10} KB", anchor="middle")
        step = 0.1 if self.top > 1.15 else 0.05
        for i in range(round((self.top - 1) / step) + 1):
            cycles = 1 + i * step
            yield line([(LEFT - 4, self.y(cycles)), (WIDTH - RIGHT, self.y(cycles))], "#ddd")
            yield text(LEFT - 7, self.y(cycles) + 4, f"{cycles:.2f}x", anchor="end")

    def _front(self, name: str, front: Sequence[Point]) -> Iterator[str]:
        colour, corners = COLOURS[name], list[tuple[float, float]]()
        for size, cycles in front:
            if corners:
                corners.append((corners[-1][0], self.y(cycles)))
            corners.append((self.x(size), self.y(cycles)))
        yield line(corners, colour)
        fill = colour if name == "resident" else "#fff"
        radius = 5 if name == "resident" else 2.5
        for size, cycles in front:
            x, y = self.x(size), self.y(cycles)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{colour}"/>'


def line(points: Sequence[tuple[float, float]], colour: str, dash: str = "") -> str:
    """Straight lines from point to point."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}"{dashed}/>'


def text(
    x: float, y: float, words: str, anchor: str = "start", colour: str = "#222", weight: str = "", turned: bool = False
) -> str:
    """Words at a place; ``turned``: from the bottom to the top."""
    more = f' font-weight="{weight}"' if weight else ""
    more += f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{more}>{escape(words)}</text>'


def measure(model: Model, folder: Path) -> Panel:
    """A model's fronts."""
    found = {}
    for name in COLOURS:
        options = Options(input_shapes=model.shapes, goal=Goal(pushed=name == "streamed"))
        found[name] = trade_offs(folder / f"{model.file}.onnx", options)
    fronts = {name: [(p.needs.arena, each.relative(p)[0]) for p in each.points] for name, each in found.items()}
    return Panel(model, found["resident"].layers.arena, fronts)


def drawing(panels: Sequence[Panel]) -> str:
    """All panels and their legend as SVG."""
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 30
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">']
    parts.append(f'<rect width="{width}" height="{height}" fill="#fff"/>')
    for i, panel in enumerate(panels):
        parts.append(f'<g transform="translate({i % COLUMNS * WIDTH} {i // COLUMNS * HEIGHT})">')
        parts += [*panel.draw(), "</g>"]
    words = "arena bytes, and cycles relative to layer by layer (square); blue: the input is resident; orange: streamed"
    parts += [text(LEFT, height - 12, f"{words}; dashed: others' figures"), "</svg>"]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DOCS.parent.parent / "shared" / "models")
    folder = parser.parse_args().models
    (DOCS / "pareto.svg").write_text(drawing([measure(model, folder) for model in MODELS]), encoding="utf-8")


if __name__ == "__main__":
    main()

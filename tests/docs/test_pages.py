"""The documents say what the code does."""

from __future__ import annotations

import json
import re
import runpy
from xml.etree import ElementTree

from tests.conftest import ROOT


def test_operator_page_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate_operators.py"))["page"]()
    assert (ROOT / "docs" / "operators.md").read_text(encoding="utf-8") == page


def test_fronts_are_drawn_inside_their_panels() -> None:
    code = runpy.run_path(str(ROOT / "docs" / "plot_pareto.py"))
    fronts = {"resident": [(9000, 1.0), (5000, 1.26)], "streamed": [(4000, 1.3)]}
    panel = code["Panel"](code["Model"]("a & b", "file", {"others": 20_000}), 10_000, fronts)
    root = ElementTree.fromstring(code["drawing"]([panel]))
    circles = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(circles) == 3
    (x0, y0), (x1, y1), (x2, y2) = circles
    assert code["WIDTH"] > x0 > x1 > x2 > code["LEFT"]
    assert code["HEIGHT"] > y0 > y1 > y2 >= code["TOP"]


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_report_page_names_every_field() -> None:
    schema = json.loads((ROOT / "tinycompile" / "report" / "schema.json").read_text(encoding="utf-8"))["properties"]
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    known = {"sram_available", "flash_available"}  # in words: what the board has
    fields = {*schema, *schema["memory"]["properties"], *schema["inputs"]["items"]["properties"]} - known
    assert not [name for name in fields if not re.search(rf"`([a-z_]+\.)?{name}\b", page)]

"""The documents say what the code does."""

from __future__ import annotations

import json
import re
import runpy

from tests.conftest import ROOT


def test_operator_page_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate_operators.py"))["page"]()
    assert (ROOT / "docs" / "operators.md").read_text(encoding="utf-8") == page


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

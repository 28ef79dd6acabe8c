"""The C of a sliding window: without a warning in any language, and what its header says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.codegen.program import assert_no_warning
from tests.codegen.test_language import LANGUAGES, WARNINGS, need
from tests.schedule import toys
from tests.schedule.test_sliding import wake_word
from tinycompile.codegen import render
from tinycompile.schedule import Goal, Program, schedule


@pytest.fixture(scope="module")
def program() -> Program:
    """A wake word detector that a window slides over."""
    return schedule(wake_word(), toys.board(1 << 20), Goal(sliding=True))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_compiles_without_a_warning(language: str, program: Program, tmp_path: Path) -> None:
    command = LANGUAGES[language]
    if command[0] != sys.executable:
        need(command[0])
    assert_no_warning(program, [*command, *WARNINGS], tmp_path)


def test_the_header_tells_of_windows_and_hops(program: Program) -> None:
    header = render(program, name="net").files["net.h"]
    assert "#define NET_INPUT_ROWS 30\n" in header and "#define NET_INPUT_HOP_ROWS 1\n" in header
    assert "A window of 30 rows slides over an input without end" in header
    pushed = render(schedule(wake_word(), toys.board(1 << 20), Goal(pushed=True)), name="net").files["net.h"]
    assert "HOP" not in pushed and "slides" not in pushed


def test_code_does_not_grow_with_the_window() -> None:
    counts = []
    for rows in (60, 70, 80):  # a kernel this high is a loop
        text = render(schedule(wake_word(rows), toys.board(1 << 20), Goal(sliding=True)), name="net").files["net.c"]
        counts.append(text.count(";") - text.count("};"))
    assert counts[0] == counts[1] == counts[2]

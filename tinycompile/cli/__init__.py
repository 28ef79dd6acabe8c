"""The command line: one file per command, a few lines over the API each.

Exit codes: 0 all is well; 2 wrong usage; 3 the model cannot be read; 4 unsupported operators; 5 quantisation;
6 does not fit; 7 board; 8 toolchain; 9 the emulated firmware faulted; 10 stages disagree; 70 a bug in tinycompile;
130 interrupted; 143 terminated.
"""

from tinycompile.cli.main import main

__all__ = ["main"]

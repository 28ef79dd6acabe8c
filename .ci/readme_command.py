"""Print the n-th shell block of README.md, so that CI runs what a reader would paste."""

import re
import sys
from pathlib import Path

blocks = re.findall(r"```sh\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
print(blocks[int(sys.argv[1]) - 1])

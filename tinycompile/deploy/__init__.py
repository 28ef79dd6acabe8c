"""Build what codegen printed: a shared library for this machine, or a firmware image for a board."""

from tinycompile.deploy.firmware import Firmware, build_firmware
from tinycompile.deploy.host import build_host
from tinycompile.deploy.image import Image, Sizes, read_image
from tinycompile.deploy.platform import Console
from tinycompile.deploy.sources import Sources
from tinycompile.deploy.stack import StackBound, stack_bound
from tinycompile.deploy.toolchain import Toolchain, ToolchainName, find_toolchain

__all__ = [
    "Console", "Firmware", "Image", "Sizes", "Sources", "StackBound", "Toolchain", "ToolchainName",
    "build_firmware", "build_host", "find_toolchain", "read_image", "stack_bound",
]  # fmt: skip

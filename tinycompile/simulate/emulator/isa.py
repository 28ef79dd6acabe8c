"""Which instructions a core has. Unicorn runs them nearly all on any core, so the blocks are checked before
they run.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from tinycompile.simulate.emulator.decode import Instruction

_PREFIXES = ("s", "q", "sh", "u", "uq", "uh")
_LANES = ("add8", "add16", "sub8", "sub16", "asx", "sax")
_HALVES = ("bb", "bt", "tb", "tt")

_OTHERS = """
    sel usad8 usada8 ssat16 usat16 sxtb16 uxtb16 sxtab sxtah sxtab16 uxtab uxtah uxtab16 pkhbt pkhtb
    qadd qsub qdadd qdsub smulwb smulwt smlawb smlawt smuad smuadx smusd smusdx smlad smladx smlsd smlsdx
    smlald smlaldx smlsld smlsldx smmul smmulr smmla smmlar smmls smmlsr umaal
"""

DSP = frozenset(
    {p + lane for p in _PREFIXES for lane in _LANES}
    | {stem + half for stem in ("smul", "smla", "smlal") for half in _HALVES}
    | set(_OTHERS.split())
)
"""The DSP extension of Armv7E-M and Armv8-M Main (Arm DDI 0403E, A4.4; DDI 0553B, C1.3)."""

V6M_WIDE = frozenset({"bl", "mrs", "msr", "dmb", "dsb", "isb", "udf"})
"""The 32-bit instructions of Armv6-M; everything else it has is 16 bits long (Arm DDI 0419E, A5.3)."""

V6M_MISSING = frozenset({"it", "cbz", "cbnz"})
"""16-bit instructions that Armv7-M added."""

_V8M = "lda ldab ldah ldaex ldaexb ldaexh stl stlb stlh stlex stlexb stlexh bxns blxns sg tt ttt tta ttat"
V8M = frozenset(_V8M.split())
"""Load-acquire, store-release and the security state instructions of Armv8-M."""

FPV5 = ("vsel", "vmaxnm", "vminnm", "vrint", "vcvta", "vcvtn", "vcvtp", "vcvtm")
"""What FPv5 added to FPv4: selection, minimum and maximum, directed rounding."""


@dataclass(frozen=True)
class InstructionSet:
    """What a core executes: ``architecture`` "v6-M", "v7-M" or "v8-M", with its extensions."""

    architecture: str
    dsp: bool = False
    fp: bool = False
    fp_double: bool = False
    fpv5: bool = False

    def lacks(self, i: Instruction) -> str:
        """Why the core cannot execute ``i``; empty where it can."""
        if i.is_fp:
            return self._lacks_fp(i)
        if self.architecture == "v6-M":
            narrow = i.size == 2 and i.name not in V6M_MISSING
            return "" if narrow or i.name in V6M_WIDE else "Armv6-M does not have it"
        if i.name in DSP and not self.dsp:
            return "the DSP extension is missing"
        if i.name in V8M and self.architecture != "v8-M":
            return "it came with Armv8-M"
        return ""

    def _lacks_fp(self, i: Instruction) -> str:
        if not self.fp:
            return "there is no floating-point unit"
        if i.is_double and not self.fp_double:
            return "the floating-point unit has single precision only"
        if i.name.startswith(FPV5) and not self.fpv5:
            return "it came with FPv5"
        return ""


def instruction_set(core: str, features: Set[str]) -> InstructionSet:
    """The instructions of ``core`` ("cortex-m4") with a board's features: ``dsp``, ``fpu-sp``, ``fpu-dp``."""
    architecture = {"cortex-m0": "v6-M", "cortex-m0plus": "v6-M", "cortex-m33": "v8-M"}.get(core, "v7-M")
    fp_double = "fpu-dp" in features
    return InstructionSet(
        architecture,
        dsp="dsp" in features,
        fp=fp_double or "fpu-sp" in features,
        fp_double=fp_double,
        fpv5=core in ("cortex-m7", "cortex-m33"),
    )

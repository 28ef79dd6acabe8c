"""Thumb machine code to the facts that the instruction-set check and the cycle models need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, cached_property, lru_cache
from typing import Any


class Kind(Enum):
    """What a pipeline distinguishes."""

    ALU = auto()
    MULTIPLY = auto()
    ACCUMULATE = auto()  # 32-bit result, adds to a register
    LONG_MULTIPLY = auto()
    LONG_ACCUMULATE = auto()
    DIVIDE = auto()
    LOAD = auto()
    STORE = auto()
    LOAD_MANY = auto()
    STORE_MANY = auto()
    BRANCH = auto()
    CALL = auto()
    INDIRECT = auto()  # the target comes from a register or from memory
    IF_THEN = auto()
    NO_OPERATION = auto()
    SYSTEM = auto()
    BARRIER = auto()
    FP_ALU = auto()
    FP_MULTIPLY = auto()
    FP_ACCUMULATE = auto()
    FP_DIVIDE = auto()
    FP_MOVE = auto()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _halves(stem: str) -> str:
    return " ".join(f"{stem}{a}{b}" for a in "bt" for b in "bt")


_KINDS: dict[Kind, frozenset[str]] = {
    Kind.MULTIPLY: _names(f"mul muls {_halves('smul')} smulwb smulwt smuad smuadx smusd smusdx smmul smmulr usad8"),
    Kind.ACCUMULATE: _names(
        f"mla mls {_halves('smla')} smlawb smlawt smlad smladx smlsd smlsdx smmla smmlar smmls smmlsr usada8"
    ),
    Kind.LONG_MULTIPLY: _names("smull umull"),
    Kind.LONG_ACCUMULATE: _names(f"smlal umlal umaal {_halves('smlal')} smlald smlaldx smlsld smlsldx"),
    Kind.DIVIDE: _names("sdiv udiv"),
    Kind.LOAD: _names(
        "ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht ldrsbt ldrsht ldrex ldrexb ldrexh "
        "lda ldab ldah ldaex ldaexb ldaexh vldr"
    ),
    Kind.STORE: _names("str strb strh strt strbt strht strex strexb strexh stl stlb stlh stlex stlexb stlexh vstr"),
    Kind.LOAD_MANY: _names("ldm ldmdb ldrd pop vldmia vldmdb vpop"),
    Kind.STORE_MANY: _names("stm stmdb strd push vstmia vstmdb vpush"),
    Kind.BRANCH: _names("b cbz cbnz"),
    Kind.CALL: _names("bl"),
    Kind.INDIRECT: _names("bx blx bxns blxns tbb tbh"),
    Kind.IF_THEN: _names("it"),
    Kind.NO_OPERATION: _names("nop yield pld pldw pli hint"),
    Kind.SYSTEM: _names("mrs msr cps svc bkpt udf wfi wfe sev clrex dbg"),
    Kind.BARRIER: _names("dmb dsb isb"),
    Kind.FP_MULTIPLY: _names("vmul vnmul"),
    Kind.FP_ACCUMULATE: _names("vmla vmls vnmla vnmls vfma vfms vfnma vfnms"),
    Kind.FP_DIVIDE: _names("vdiv vsqrt"),
    Kind.FP_MOVE: _names("vmov vmrs vmsr"),
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}
_SHIFTS = _names(
    "lsl lsr asr ror rrx sbfx ubfx bfi bfc sxtb sxth uxtb uxth sxtb16 uxtb16 sxtab sxtah uxtab uxtah sxtab16 "
    "uxtab16 pkhbt pkhtb ssat usat ssat16 usat16"
)

_MANY = (Kind.LOAD_MANY, Kind.STORE_MANY)
_ACCESS = (Kind.LOAD, Kind.STORE, *_MANY)
_BRANCHES = (Kind.BRANCH, Kind.CALL, Kind.INDIRECT)

FP_BASE = 32  # number of s0 among the registers; 0..15 are r0..r12, sp, lr, pc
SP, PC = 13, 15


@dataclass(frozen=True)
class Instruction:
    """One instruction, wherever it lies. Registers are numbers: 0 to 15 the core's, `FP_BASE` and up s0 to
    s31 (a double is two of them).

    ``name`` is the base mnemonic, ``text`` the whole line for messages, without the target of a branch.
    ``words`` counts the 32-bit words that a load or store moves. ``address`` registers form an access's
    address, ``accumulator`` is what a multiply-accumulate adds to.
    """

    size: int
    name: str
    text: str
    kind: Kind
    reads: frozenset[int]
    writes: frozenset[int]
    address: frozenset[int]
    accumulator: frozenset[int]
    words: int
    shifted: bool
    indexed: bool

    @cached_property
    def results(self) -> frozenset[int]:
        """What it writes but an updated base address, which is ready early."""
        return self.writes - self.address if self.kind in _ACCESS else self.writes

    @cached_property
    def is_fp(self) -> bool:
        """Needs the floating-point unit switched on."""
        return self.name.startswith("v")

    @cached_property
    def is_double(self) -> bool:
        """Computes in double precision."""
        return ".f64" in self.text

    @cached_property
    def writes_pc(self) -> bool:
        return PC in self.writes or self.kind in _BRANCHES


@dataclass(frozen=True)
class Block:
    """Consecutive instructions from ``location`` on."""

    location: int
    code: tuple[Instruction, ...]

    @cached_property
    def end(self) -> int:
        """The address behind the last instruction."""
        return self.location + sum(i.size for i in self.code)

    def located(self) -> Iterator[tuple[int, Instruction]]:
        """Each instruction with its address."""
        at = self.location
        for i in self.code:
            yield at, i
            at += i.size


NOTHING = Block(0, ())


@cache
def _capstone() -> tuple[Any, dict[int, tuple[int, ...]]]:
    import capstone
    from capstone import arm_const as arm

    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    engine.detail = True
    numbers: dict[int, tuple[int, ...]] = {getattr(arm, f"ARM_REG_R{i}"): (i,) for i in range(13)}
    numbers |= {arm.ARM_REG_SP: (13,), arm.ARM_REG_LR: (14,), arm.ARM_REG_PC: (PC,)}
    numbers |= {getattr(arm, f"ARM_REG_S{i}"): (FP_BASE + i,) for i in range(32)}
    numbers |= {getattr(arm, f"ARM_REG_D{i}"): (FP_BASE + 2 * i, FP_BASE + 2 * i + 1) for i in range(16)}
    return engine, numbers


def decode(code: bytes, location: int) -> Block:
    """Decodes ``code`` up to the first instruction that is none: compare the block's ``end``."""
    found, at = [], 0
    while at + 2 <= len(code):
        size = 4 if code[at + 1] >> 3 >= 0b11101 else 2
        instruction = _decoded(code[at : at + size])
        if instruction is None:
            break
        found.append(instruction)
        at += size
    return Block(location, tuple(found))


@lru_cache(maxsize=1 << 16)
def _decoded(encoding: bytes) -> Instruction | None:
    """One instruction by its code: networks repeat themselves, and decoding is slow."""
    raw = next(_capstone()[0].disasm(encoding, 0, 1), None)
    return None if raw is None or raw.size != len(encoding) else _instruction(raw)


def _registers(ids: Iterable[int]) -> frozenset[int]:
    numbers = _capstone()[1]
    return frozenset(n for i in ids for n in numbers.get(i, ()))


def _instruction(raw: Any) -> Instruction:
    from capstone import arm_const as arm

    name = raw.insn_name()
    if raw.mnemonic.startswith("v"):
        name = raw.mnemonic.split(".")[0]  # capstone keeps some old names, such as fconsts
    read_ids, written_ids = raw.regs_access()
    reads, writes = _registers(read_ids), _registers(written_ids)
    memory = [o for o in raw.operands if o.type == arm.ARM_OP_MEM]
    kind = _kind(name, writes)
    address = _registers([i for o in memory for i in (o.mem.base, o.mem.index)])
    if kind in _MANY and not memory:
        on_stack = name in ("push", "pop", "vpush", "vpop")
        address = frozenset({SP}) if on_stack else _registers([raw.operands[0].reg])
        data = _registers([o.reg for o in raw.operands[0 if on_stack else 1 :]])
        base = address if on_stack or raw.writeback else frozenset()
        reads, writes = (address, data | base) if kind is Kind.LOAD_MANY else (address | data, base)
        words = len(data)
    else:
        words = _words(kind, writes if kind is Kind.LOAD else reads)
    return Instruction(
        size=raw.size,
        name=name,
        text=raw.mnemonic if kind in _BRANCHES else f"{raw.mnemonic} {raw.op_str}".strip(),
        kind=kind,
        reads=reads,
        writes=writes,
        address=address,
        accumulator=_accumulator(raw, kind, writes),
        words=words,
        shifted=name in _SHIFTS or any(o.shift.type for o in raw.operands if o.type == arm.ARM_OP_REG),
        indexed=any(o.mem.index for o in memory),
    )


def _kind(name: str, writes: frozenset[int]) -> Kind:
    kind = _KIND_OF.get(name) or (Kind.FP_ALU if name.startswith("v") else Kind.ALU)
    return Kind.INDIRECT if kind is Kind.ALU and PC in writes else kind


def _accumulator(raw: Any, kind: Kind, writes: frozenset[int]) -> frozenset[int]:
    """Long and floating-point forms add to their destination, the others to their last operand."""
    if kind is Kind.ACCUMULATE:
        return _registers([raw.operands[-1].reg])
    return writes if kind in (Kind.LONG_ACCUMULATE, Kind.FP_ACCUMULATE) else frozenset()


def _words(kind: Kind, data: frozenset[int]) -> int:
    if kind in _MANY:
        return 2  # ldrd, strd
    if kind in (Kind.LOAD, Kind.STORE):
        return 2 if sum(r >= FP_BASE for r in data) == 2 else 1
    return 0

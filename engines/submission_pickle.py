"""Files of ``torch.save``, read without loading them: nothing that a file says is ever imported, called or built.

Such a file is a zip that holds one pickle and the bytes of its tensors. The pickle is a small program; here a machine
of our own follows it that knows plain data and the few names that stand for a tensor, and refuses every other name at
sight. The zip is held to what torch writes: nothing packed, so that nothing unpacks to more than is there.

Everything that is read is bounded before it is read.
"""

import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import torch
from torch import Tensor

from engines.errors import InvalidSubmission

MEMBERS, DIRECTORY, PICKLE, STEPS = 64, 1 << 16, 1 << 16, 10_000
"""At most so many files in a zip, bytes of its directory, bytes of the pickle, steps of its program."""
MEMBER = re.compile(
    r"[^/\\]+/(data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id|data/[0-9]+)"
)
UNREADABLE = (
    zipfile.BadZipFile,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What reading a damaged zip may raise."""
AGAIN = "write it with torch.save of a plain dict of tensors, texts and numbers"
DTYPES: Mapping[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}
TENSOR, PARAMETER, ORDERED = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "OrderedDict"


@dataclass(frozen=True)
class Name:
    """A name that a pickle may use."""

    text: str


@dataclass(frozen=True)
class Bytes:
    """The bytes of tensors: a member of the zip, how many numbers of which type, and where they were."""

    dtype: str
    key: str
    numbers: int
    device: str


@dataclass(frozen=True)
class Stored:
    """A tensor that was not read yet."""

    bytes: Bytes
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers."""
        return DTYPES[self.bytes.dtype]


class Archive:
    """A file of ``torch.save``: its plain data with ``Stored`` in place of tensors, which are read when asked for.

    Raises ``InvalidSubmission`` for whatever torch did not write or could not read as plain data.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        _bounded(file, size)
        try:
            self._zip = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise InvalidSubmission(f"it is no readable zip file ({_why(error)}); {AGAIN}") from None
        self._members = self._checked(size)
        self._used: set[str] = set()
        self.value: Any = follow(self._read("data.pkl", PICKLE))

    def _checked(self, size: int) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        roots = set()
        for info in self._zip.infolist():
            if not info.filename.isascii() or not MEMBER.fullmatch(info.filename):
                raise InvalidSubmission(f"its zip holds {info.filename[:60]!a}, which torch never writes; {AGAIN}")
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
                raise InvalidSubmission(
                    f"{info.filename[:60]!a} in its zip is packed or encrypted ({info.compress_size} bytes that claim "
                    f"to be {info.file_size}); torch writes them plainly: {AGAIN}"
                )
            root, _, name = info.filename.partition("/")
            roots.add(root)
            if name in members:
                raise InvalidSubmission(f"its zip holds {name!a} twice; {AGAIN}")
            members[name] = info
        if len(roots) != 1 or "data.pkl" not in members:
            raise InvalidSubmission(f"its zip is none of torch: {len(roots)} folders, or no data.pkl; {AGAIN}")
        if sum(info.file_size for info in members.values()) > size:
            raise InvalidSubmission(f"its members overlap: together they are larger than the file; {AGAIN}")
        return members

    def _read(self, name: str, most: int) -> bytes:
        info = self._members[name]
        if info.file_size > most:
            raise InvalidSubmission(f"its {name} has {info.file_size} bytes; {most} are allowed")
        try:
            content = self._zip.read(info)
        except UNREADABLE as error:
            raise InvalidSubmission(f"its {name} cannot be read ({_why(error)}); {AGAIN}") from None
        if len(content) != info.file_size:
            raise InvalidSubmission(f"its {name} has {len(content)} bytes, not {info.file_size}; {AGAIN}")
        return content

    def tensor(self, stored: Stored) -> Tensor:
        """Read a tensor; raises ``InvalidSubmission`` when its bytes are not all there."""
        name, size = f"data/{stored.bytes.key}", stored.bytes.numbers * stored.dtype.itemsize
        if name not in self._members:
            raise InvalidSubmission(f"the bytes of a tensor, {name}, are not in it; {AGAIN}")
        if self._members[name].file_size != size:
            raise InvalidSubmission(
                f"{name} holds {self._members[name].file_size} bytes, but its tensor says {size}; {AGAIN}"
            )
        last = stored.offset + sum((n - 1) * step for n, step in zip(stored.shape, stored.stride, strict=True))
        if min(stored.shape, default=1) < 1 or last >= stored.bytes.numbers:
            raise InvalidSubmission(f"a tensor of {stored.shape} reaches beyond its bytes in {name}; {AGAIN}")
        if "byteorder" in self._members and self._read("byteorder", 16) != b"little":
            raise InvalidSubmission(f"its numbers are not in little-endian order; {AGAIN}")
        self._used.add(name)
        flat = torch.frombuffer(bytearray(self._read(name, size)), dtype=stored.dtype)
        return flat.as_strided(stored.shape, stored.stride, stored.offset)

    @property
    def unused(self) -> tuple[str, ...]:
        """Bytes that no tensor that was read refers to."""
        return tuple(sorted(name for name in self._members if name.startswith("data/") and name not in self._used))


def _why(error: Exception) -> str:
    """An error about a stranger's bytes, as plain ASCII."""
    return f"{type(error).__name__}: {ascii(str(error)[:80])[1:-1]}"


def _bounded(file: IO[bytes], size: int) -> None:
    """Hold a zip to its bounds before anything reads its directory."""
    file.seek(0)
    start = file.read(4)
    file.seek(max(0, size - 98))
    tail = file.read(98)
    if start != b"PK\x03\x04" or tail[-22:-18] != b"PK\x05\x06":
        old = "an old pickle without a zip, which must not be loaded" if start[:1] == b"\x80" else "no file of torch"
        raise InvalidSubmission(f"it is {old}; {AGAIN} (torch 1.6 or newer)")
    members, length = struct.unpack("<HI", tail[-12:-6])
    if tail[-42:-38] == b"PK\x06\x07":
        if len(tail) < 98 or tail[:4] != b"PK\x06\x06":
            raise InvalidSubmission(f"the end of its zip contradicts itself; {AGAIN}")
        members, length = struct.unpack("<QQ", tail[32:48])
    if members > MEMBERS or length > DIRECTORY:
        raise InvalidSubmission(
            f"its zip says it has {members} members and a directory of {length} bytes; at most {MEMBERS} and "
            f"{DIRECTORY} are allowed"
        )
    file.seek(0)


def follow(text: bytes) -> Any:
    """The plain data of a pickle; raises ``InvalidSubmission`` for one that would do more than build such."""
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(text)):
            if step >= STEPS:
                raise InvalidSubmission(f"its pickle has more than {STEPS} steps; {AGAIN}")
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error, EOFError) as error:
        raise InvalidSubmission(f"its pickle breaks off or contradicts itself ({_why(error)}); {AGAIN}") from None
    if len(machine.stack) != 1:
        raise InvalidSubmission(f"its pickle leaves {len(machine.stack)} values; {AGAIN}")
    return machine.stack[0]


_MARK = object()
_LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = (
    ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
)


class _Machine:
    """The stack and the memory of a pickle's program."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:  # noqa: C901 - one case an instruction
        """Follow one instruction."""
        stack, memo = self.stack, self._memo
        if name in ("PROTO", "FRAME", "STOP"):
            return
        if name in _LITERALS:
            stack.append(_LITERALS[name])
        elif name in _VALUES[0] or name in _VALUES[1]:
            if isinstance(argument, int) and abs(argument) >= 1 << 63:
                raise ValueError("a whole number of more than 64 bits")
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[name])
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self._marked() if name == "TUPLE" else self._last(int(name[5:]))))
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
            self._fill(name)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_name(argument if name == "GLOBAL" else _joined(self._last(2))))
        elif name in ("REDUCE", "BUILD"):
            self._make(name)
        elif name == "BINPERSID":
            stack.append(_bytes(self._last(1)[0]))
        else:
            raise InvalidSubmission(f"its pickle has the instruction {name}, which plain data does not need; {AGAIN}")

    def _last(self, count: int) -> list[Any]:
        if len(self.stack) < count or any(one is _MARK for one in self.stack[-count:]):
            raise IndexError("values are missing")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def _marked(self) -> list[Any]:
        found = []
        while (one := self.stack.pop()) is not _MARK:
            found.append(one)
        return found[::-1]

    def _fill(self, name: str) -> None:
        if name.startswith("APPEND"):
            items = self._marked() if name == "APPENDS" else self._last(1)
            into = self.stack[-1]
            if not isinstance(into, list):
                raise TypeError("appends to what is no list")
            into.extend(items)
            return
        items = self._marked() if name == "SETITEMS" else self._last(2)
        into = self.stack[-1]
        if not isinstance(into, dict) or not all(isinstance(key, str | int) for key in items[::2]):
            raise TypeError("sets an entry of what is no dict, or under a key that is no text")
        into.update(zip(items[::2], items[1::2], strict=True))

    def _make(self, name: str) -> None:
        made, given = self._last(2)
        if name == "BUILD":  # a state_dict carries the versions of its modules along
            if not isinstance(made, dict) or not isinstance(given, dict) or set(given) - {"_metadata"}:
                raise TypeError("builds what is no state_dict")
            self.stack.append(made)
            return
        if not isinstance(made, Name) or not isinstance(given, tuple):
            raise TypeError("calls what is no name")
        if made.text == ORDERED and not given:
            self.stack.append({})
        elif made.text == TENSOR:
            self.stack.append(_tensor(given))
        elif made.text == PARAMETER and len(given) == 3 and isinstance(given[0], Stored):
            self.stack.append(given[0])
        else:
            raise InvalidSubmission(f"its pickle calls {made.text!a} with {len(given)} arguments; {AGAIN}")


def _joined(names: list[Any]) -> str:
    """A module and a name of it; nothing else is turned into text, for a nest of shared tuples has no end of it."""
    if not all(isinstance(one, str) for one in names):
        raise TypeError("names a thing by what is no text")
    return " ".join(names)


def _name(text: str) -> Name:
    if text == "collections OrderedDict":
        return Name(ORDERED)
    module, _, name = text.partition(" ")
    if text in (TENSOR, PARAMETER) or (module == "torch" and name in DTYPES):
        return Name(text)
    raise InvalidSubmission(
        f"loading it would call {text.replace(' ', '.')[:80]!a}; nothing was executed, and it must never be loaded: "
        f"{AGAIN}"
    )


def _bytes(given: Any) -> Bytes:
    if not isinstance(given, tuple) or len(given) != 5 or given[0] != "storage":
        raise TypeError("refers to what are no bytes of a tensor")
    _, dtype, key, device, numbers = given
    if not isinstance(dtype, Name) or not isinstance(key, str) or not key.isascii() or not key.isdecimal():
        raise TypeError("refers to bytes without a type or a number")
    if (kind := dtype.text.removeprefix("torch ")) not in DTYPES:
        raise TypeError("refers to bytes of what is no type of number")
    if not isinstance(device, str) or not _count(numbers):
        raise TypeError("refers to bytes without a size or a device")
    return Bytes(kind, key, numbers, device)


def _tensor(given: tuple[Any, ...]) -> Stored:
    if len(given) not in (6, 7) or not isinstance(given[0], Bytes) or not _count(given[1]):
        raise TypeError("builds a tensor of no bytes")
    bytes, offset, shape, stride = given[:4]
    for numbers in (shape, stride):
        if not isinstance(numbers, tuple) or len(numbers) > 8 or not all(map(_count, numbers)):
            raise TypeError("builds a tensor of no shape")
    if len(shape) != len(stride):
        raise TypeError("builds a tensor of as many axes as it has no strides")
    return Stored(bytes, offset, shape, stride)


def _count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 48

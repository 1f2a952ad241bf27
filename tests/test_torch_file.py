"""Tensors are read from a PyTorch file without PyTorch, and nothing else is."""

import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
from catdog.backbones.torch_file import MAGIC, read_tensors


class Stored:
    """A tensor as PyTorch's pickles have it; `rebuild` is what is called in its place."""

    def __init__(self, key, offset, shape, strides, length, kind="FloatStorage"):
        self.pid = ("storage", Type(kind), key, "cpu", length, None)
        self.rest = offset, shape, strides, False, OrderedDict()

    def __reduce__(self):
        return Global("torch._utils", "_rebuild_tensor_v2"), (Storage(self.pid), *self.rest)


class Storage:
    def __init__(self, pid):
        self.pid = pid


class Global:
    """A function that the file names, without its module being there."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise AssertionError("only its name is written")


class Type(Global):
    def __init__(self, name):
        super().__init__("torch", name)


class Pickler(pickle._Pickler):
    """Python's own pickler in Python, with names of modules that are not installed."""

    def persistent_id(self, one):
        return one.pid if isinstance(one, Storage) else None

    def save(self, one, *args, **options):
        if isinstance(one, Global):
            self.write(f"c{one.module}\n{one.name}\n".encode())
        else:
            super().save(one, *args, **options)


def torch_file(path, tensors, numbers, magic=MAGIC):
    """PyTorch's format before 1.6; `numbers` by storage."""
    with path.open("wb") as file:
        for one in (magic, 1001, {"little_endian": True}, tensors, list(numbers)):
            Pickler(file, 2).dump(one)
        for array in numbers.values():
            file.write(struct.pack("<q", len(array)) + array.tobytes())
    return path.read_bytes()


def test_strides_and_offsets_are_honoured(tmp_path):
    numbers = np.arange(14, dtype=np.float32)
    tensors = OrderedDict(
        plain=Stored("0", 2, (3, 4), (4, 1), 14),
        turned=Stored("0", 2, (4, 3), (1, 4), 14),
        every_other=Stored("0", 1, (6,), (2,), 14),
        repeated=Stored("0", 3, (2, 2), (0, 1), 14),
        scalar=Stored("1", 0, (), (), 1, "LongStorage"),
    )
    data = torch_file(tmp_path / "a.pth", tensors, {"0": numbers, "1": np.array([7])})
    found = read_tensors(data)
    block = numbers[2:].reshape(3, 4)
    assert found["plain"].tolist() == block.tolist()
    assert found["turned"].tolist() == block.T.tolist()
    assert found["every_other"].tolist() == [1, 3, 5, 7, 9, 11]
    assert found["repeated"].tolist() == [[3, 4], [3, 4]]
    assert (found["scalar"], found["scalar"].dtype) == (7, np.int64)
    assert all(array.flags.c_contiguous and array.flags.owndata for array in found.values())


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (15,), (1,)),
        (13, (2,), (1,)),
        (0, (2, 7), (8, 1)),
        (-1, (2,), (1,)),
        (5, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (0, (0,), (1,)),
        (0, (10**9,), (0,)),
        ("0", (2,), (1,)),
        (0, (True,), (1,)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, offset, shape, strides):
    tensors = {"a": Stored("0", offset, shape, strides, 14)}
    data = torch_file(tmp_path / "a.pth", tensors, {"0": np.zeros(14, np.float32)})
    with pytest.raises(ValueError, match="a tensor"):
        read_tensors(data)


class Harmful:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize(
    "harm",
    [
        Harmful(os.system, "exit 1"),
        Harmful(eval, "1"),
        Harmful(Global("torch.hub", "load"), "a"),
        Harmful(Global("torch.storage", "_load_from_bytes"), b""),
        Harmful(Global("torch", "load"), "a"),
        Harmful(Global("numpy", "array"), 1),
        Harmful(Global("collections", "deque"), ()),
        np.zeros(2),
    ],
    ids=["os.system", "eval", "torch.hub.load", "bytes", "torch.load", "numpy.array", "deque", "array"],
)
def test_nothing_but_tensors_is_unpickled(tmp_path, harm):
    data = torch_file(tmp_path / "a.pth", {"a": harm}, {})
    with pytest.raises(pickle.UnpicklingError, match="is not a tensor"):
        read_tensors(data)


def test_another_persistent_object_is_refused(tmp_path):
    for pid in ("module", ("module", "a"), ("storage", Type("FloatStorage"), "0", "cpu", "many", None)):
        with pytest.raises(pickle.UnpicklingError, match="is not a storage"):
            read_tensors(torch_file(tmp_path / "a.pth", {"a": Storage(pid)}, {}))


def test_a_file_of_something_else_or_a_cut_one_is_refused(tmp_path):
    numbers = {"0": np.zeros(3, np.float32)}
    good = torch_file(tmp_path / "a.pth", {"a": Stored("0", 0, (3,), (1,), 3)}, numbers)
    assert read_tensors(good)["a"].shape == (3,)
    view = {"a": Stored("0", 0, (3,), (1,), 3)}
    others = [({"a": 1}, {}), ({}, numbers), (view, {}), (view, numbers, 1)]
    for data in (good[:-1], good[:-13], *(torch_file(tmp_path / "a.pth", *other) for other in others)):
        with pytest.raises(ValueError, match=r"truncated|PyTorch file|storages"):
            read_tensors(data)

"""Read the tensors of a PyTorch file without PyTorch, and without executing arbitrary code from its pickles.

PyTorch's format before 1.6: five pickles (a magic number, the format's version, the sizes of C types, the object, the
storages' keys), then the storages' raw numbers, each preceded by its length. The object is a dictionary of views into
the storages.
"""

import io
import math
import pickle
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    length: int


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, numbers: np.ndarray) -> np.ndarray:
        """Return the view of `numbers` as a copy in C order. Raises ValueError if it is not inside them."""
        places = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(type(place) is int and place >= 0 for place in places):
            raise ValueError("a tensor has an invalid shape or invalid strides")
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        if 0 in self.shape or last >= len(numbers) or math.prod(self.shape) > len(numbers):
            raise ValueError("a tensor lies outside its storage")
        steps = [stride * numbers.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False)
        return view.copy(order="C")


def _view(storage: _Storage, offset: int, shape: tuple, strides: tuple, *ignored) -> _View:
    """Stand in for `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor has no storage")
    return _View(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """An unpickler for tensors and ordered dictionaries only. It rejects any other name before looking it up."""

    def find_class(self, module: str, name: str):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"the file asks for {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: tuple) -> _Storage:
        match pid:
            case ("storage", str(kind), str(key), _, int(length), *_) if kind in _TYPES:
                return _Storage(key, np.dtype(_TYPES[kind]), length)
        raise pickle.UnpicklingError("the file refers to something that is not a storage")


def read_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a state dictionary in a PyTorch file, by name, in C order.

    Raises:
        pickle.UnpicklingError: the pickle asks for anything but tensors.
        ValueError: it is not such a file, it is truncated, or a tensor reaches beyond its storage.
    """
    file = io.BytesIO(data)
    magic, _, _, views, keys = [_Unpickler(file).load() for _ in range(5)]
    if magic != MAGIC or not isinstance(views, dict) or not all(isinstance(view, _View) for view in views.values()):
        raise ValueError("it is not a PyTorch file of tensors")
    storages = {view.storage.key: view.storage for view in views.values()}
    if not isinstance(keys, list) or set(keys) != set(storages):
        raise ValueError("its storages do not match its tensors")
    numbers = {key: _numbers(file, storages[key]) for key in keys}
    return {name: view.array(numbers[view.storage.key]) for name, view in views.items()}


def _numbers(file: io.BytesIO, storage: _Storage) -> np.ndarray:
    length, raw = int.from_bytes(file.read(8), "little"), file.read(storage.dtype.itemsize * storage.length)
    if length != storage.length or len(raw) != storage.dtype.itemsize * length:
        raise ValueError("the file is truncated")
    return np.frombuffer(raw, storage.dtype)

"""Read the tensors of a PyTorch file without PyTorch, and without running what a pickle may ask for.

PyTorch's format before 1.6: five pickles (a magic number, the format's version, the sizes of C types, the object, the
storages' keys), then the storages' raw numbers, each with its length in front. The object is a dictionary of views into
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
        """A copy in C order of what the view shows of `numbers`."""
        places = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(type(place) is int and place >= 0 for place in places):
            raise ValueError("a tensor has a shape or strides that make no sense")
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        if 0 in self.shape or last >= len(numbers) or math.prod(self.shape) > len(numbers):
            raise ValueError("a tensor lies outside its storage")
        steps = [stride * numbers.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False)
        return view.copy(order="C")


def _view(storage: _Storage, offset: int, shape: tuple, strides: tuple, *ignored) -> _View:
    """In the place of `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor has no storage")
    return _View(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows tensors and ordered dictionaries. A name of anything else is refused before it is looked up."""

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
    """The tensors in a PyTorch file of a state dictionary, by name, in C order.

    Raises:
        pickle.UnpicklingError: the pickle asks for anything else than tensors.
        ValueError: it is not such a file, or it is cut, or a tensor reaches beyond its storage.
    """
    file = io.BytesIO(data)
    magic, _, _, views, keys = [_Unpickler(file).load() for _ in range(5)]
    if magic != MAGIC or not isinstance(views, dict) or not all(isinstance(view, _View) for view in views.values()):
        raise ValueError("it is not a PyTorch file of tensors")
    storages = {view.storage.key: view.storage for view in views.values()}
    if not isinstance(keys, list) or set(keys) != set(storages):
        raise ValueError("its storages are not those of its tensors")
    numbers = {key: _numbers(file, storages[key]) for key in keys}
    return {name: view.array(numbers[view.storage.key]) for name, view in views.items()}


def _numbers(file: io.BytesIO, storage: _Storage) -> np.ndarray:
    length, raw = int.from_bytes(file.read(8), "little"), file.read(storage.dtype.itemsize * storage.length)
    if length != storage.length or len(raw) != storage.dtype.itemsize * length:
        raise ValueError("the file is cut")
    return np.frombuffer(raw, storage.dtype)

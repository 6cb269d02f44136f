"""CIFAR's files are Python pickles. They are read only after their checksum was compared, and even
then by a reader that knows NumPy arrays and plain values, and can call nothing else.
"""

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagewise.data.names import shown
from stagewise.errors import UserError


def _reconstruct(kind: type[NDArray[Any]], shape: tuple[int, ...], code: Any) -> NDArray[Any]:
    """An empty array, as NumPy's own function of this name makes it; its state comes next."""
    if shape != (0,):  # all that NumPy writes
        raise pickle.UnpicklingError(f"it asks for an array of shape {shape} without content")
    return np.ndarray.__new__(kind, shape, code)


ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}
"""All that a pickle may name."""


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return ALLOWED[module, name]


def unpickled(content: bytes) -> dict[str, Any]:
    """The dictionary in a pickle, its keys as text.

    Raises:
        UserError: it names anything but arrays, or is no dictionary.
    """
    try:
        found = _Restricted(io.BytesIO(content), encoding="bytes").load()
        return {key.decode() if isinstance(key, bytes) else key: found[key] for key in found}
    except Exception as error:  # a damaged pickle raises nearly everything
        raise UserError(f"not a pickle of arrays ({shown(error)})") from None

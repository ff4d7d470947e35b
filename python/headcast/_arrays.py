"""Arrays and tensors of any library as numpy arrays in this process's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def as_array(value: Any, error: type[Exception], what: str) -> np.ndarray[Any, Any]:
    """``value`` as a numpy array, copied only where it lies on another device or is not of this machine's byte order.

    Takes numpy arrays, torch tensors on any device (attached to a graph or not), and whatever has ``__array__`` or
    ``__dlpack__``: JAX, CuPy, TensorFlow, PIL.
    """
    import numpy as np

    if isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "detach") and hasattr(value, "cpu"):
        array = _from_torch(value)
    elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        try:
            array = np.asarray(value)
        except TypeError:
            # CuPy refuses an implicit copy from the device.
            if not hasattr(value, "get"):
                raise
            array = value.get()
    elif hasattr(value, "__dlpack__"):
        array = np.from_dlpack(value)
    else:
        raise error(f"{what} must be a numpy array or a tensor, not {type(value).__name__}; numpy.asarray makes one of a list")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _from_torch(tensor: Any) -> Any:
    tensor = tensor.detach()
    if str(tensor.dtype) == "torch.bfloat16":
        # numpy has no such type.
        tensor = tensor.float()
    if getattr(tensor, "is_conj", bool)() or getattr(tensor, "is_neg", bool)():
        tensor = tensor.resolve_conj().resolve_neg()
    # Waits for the device; a tensor on the CPU stays where it is.
    return tensor.cpu().numpy()

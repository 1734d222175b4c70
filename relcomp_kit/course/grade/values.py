"""Arguments and results of exercises as plain JSON, which anyone may read: nothing in it can run.

Neither torch nor numpy is loaded for values that need none.
"""

import sys
from typing import Any

TYPES = {  # of the numbers in an array; a type of text could ask for any amount of memory
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
}


def pack(value: Any) -> Any:
    """Return a value in JSON's types; tuples, dicts, sets, arrays and tensors as a dict that names their kind.

    Raises
    ------
    TypeError
        For anything else.
    """
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        flat = value.detach().cpu().flatten().tolist()
        return {
            "tensor": [pack(one) for one in flat],
            "shape": list(value.shape),
            "type": str(value.dtype).rpartition(".")[2],
        }
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        array = numpy.asarray(value)
        if array.dtype.kind == "U":
            return pack(array.tolist())
        return {
            "array": [pack(one) for one in array.flatten().tolist()],
            "shape": list(array.shape),
            "type": str(array.dtype.name),
        }
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, (list, range)):
        return [pack(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [pack(one) for one in value]}
    if isinstance(value, (set, frozenset)):
        return {"set": [pack(one) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(one)] for key, one in value.items()]}
    raise TypeError(f"a {type(value).__name__} cannot be compared with what is expected")


def unpack(plain: Any) -> Any:
    """Return the value that `pack` has packed. What comes from a student's process may be anything.

    Raises
    ------
    ValueError, TypeError, KeyError
        If `pack` cannot have written it.
    """
    if isinstance(plain, list):
        return [unpack(one) for one in plain]
    if not isinstance(plain, dict):
        return plain
    if "complex" in plain:
        return complex(*plain["complex"])
    if "tuple" in plain:
        return tuple(unpack(one) for one in plain["tuple"])
    if "set" in plain:
        return {unpack(one) for one in plain["set"]}
    if "dict" in plain:
        return {unpack(key): unpack(one) for key, one in plain["dict"]}
    if plain["type"] not in TYPES:
        raise ValueError("no type of numbers")
    if "tensor" in plain:
        import torch

        return torch.tensor(unpack(plain["tensor"]), dtype=getattr(torch, plain["type"])).reshape(plain["shape"])
    import numpy

    return numpy.array(unpack(plain["array"]), dtype=plain["type"]).reshape(plain["shape"])

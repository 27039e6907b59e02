"""What a document says of tensors of integers, and where the channels of any lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from postproc.quantization import QuantizedTensor, Scale, ZeroPoint, as_scale, as_zero_point
from postproc.schema.quantization import FromTensors
from postproc.tensors import as_array, named


class Quantizations:
    """What a document says of the tensors of one output.

    Parameters
    ----------
    output : FromTensors
    """

    def __init__(self, output: FromTensors) -> None:
        self.output = output
        self.fields = {name: str(location[0]) for location, name in output.tensor_fields()}
        self.given: dict[str, tuple[Scale, ZeroPoint]] = {
            name: (as_scale(one.scale), as_zero_point(one.zero_point))
            for name, one in (output.quantization or {}).items()
        }

    def of(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the tensors of a call, with what the document says of them, its layout included."""
        return _Quantized(tensors, self)


class _Quantized(Mapping[str, Any]):
    """The tensors of a call, those of integers with what makes numbers of them."""

    def __init__(self, tensors: Mapping[str, Any], quantizations: Quantizations) -> None:
        self._tensors = tensors
        self._quantizations = quantizations

    def __getitem__(self, name: str) -> Any:
        value = self._tensors[name]
        field = self._quantizations.fields.get(name)
        if field is None:
            return value
        if not isinstance(value, QuantizedTensor):
            given = self._quantizations.given.get(name)
            if given is None:
                return value
            array = as_array(name, value)
            if array.dtype.kind not in "iu":
                return array  # of the numbers themselves
            with named(name):
                value = QuantizedTensor.of(array, *given)
        with named(name):
            return value.along(self._quantizations.output.channel_axes(field, value.ndim))

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

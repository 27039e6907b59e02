"""What makes numbers of a tensor's integers, and the tensors that an output names."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from postproc.quantization import HIGHEST, LOWEST
from postproc.schema.base import Alternative, Configuration
from postproc.schema.deferring import BuiltOnUse
from postproc.schema.fields import NonEmpty, OrOne
from postproc.schema.limits import MOST_CHANNELS, MOST_QUANTIZED
from postproc.schema.problems import Location, closest, counted, describe, expecting, rule_error
from postproc.schema.sizes import AtMost

_HALF_THE_SMALLEST_FLOAT32 = 2.0**-150  # which rounds to 0, and what is more to the smallest
_LARGEST_FLOAT32 = 3.4028234663852886e38
# Ids and counts are whole: integers are what they are.
_OF_INTEGERS = ("classes_tensor", "count_tensor")
_OF_MAPS = ("prototypes_tensor", "masks_tensor")

ScaleNumber = Annotated[
    float,
    Field(gt=_HALF_THE_SMALLEST_FLOAT32, le=_LARGEST_FLOAT32),
    expecting("a finite number above 0 that float32 holds"),
]
ZeroPointNumber = Annotated[
    int, Field(ge=LOWEST, le=HIGHEST), expecting(f"an integer from {LOWEST} to {HIGHEST}")
]
Scale = Annotated[
    float | tuple[float, ...],
    OrOne(
        Annotated[NonEmpty[ScaleNumber], AtMost(MOST_CHANNELS, "scales")],
        "a finite number above 0 that float32 holds, or a list of them, one per channel",
    ),
]
ZeroPoint = Annotated[
    int | tuple[int, ...],
    OrOne(
        Annotated[NonEmpty[ZeroPointNumber], AtMost(MOST_CHANNELS, "zero points")],
        f"an integer from {LOWEST} to {HIGHEST}, or a list of them, one per channel",
    ),
]


class Quantization(Configuration):
    """What makes numbers of a tensor's integers q: (q - zero_point) * scale, each step in float32."""

    scale: Scale = Field(description="Above 0; a list has one per channel.")
    zero_point: ZeroPoint = Field(
        default=0, description="In the range of the tensor's integers; a list has one per channel."
    )

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        scale, zero_point = self.scale, self.zero_point
        if isinstance(scale, tuple) and isinstance(zero_point, tuple) and len(scale) != len(zero_point):
            expected = f"{counted(len(scale), 'integer')}, as many as there are scales"
            yield ("zero_point",), f"expected {expected}, got {len(zero_point)}"


class ByName(dict[str, Quantization]):
    """Quantizations by the names of tensors: a dict that cannot be changed, and is hashable therefore."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return ByName, (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("documents are frozen: load one that differs")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def _checked_names(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, dict):
        if len(value) > MOST_QUANTIZED:
            raise rule_error(f"expected at most {MOST_QUANTIZED:,} tensors, got {len(value):,}")
        for name in value:
            if not isinstance(name, str):
                raise rule_error(f"expected names of tensors, which are text, got {describe(name)}")
    read = handler(value)
    return ByName(read) if isinstance(read, dict) else read


Quantizations: TypeAlias = Annotated[
    dict[str, Annotated[Quantization, BuiltOnUse()]],
    Field(json_schema_extra={"maxProperties": MOST_QUANTIZED}),
    WrapValidator(_checked_names),
]


class FromTensors(Alternative):
    """What is read from tensors, which fields name."""

    quantization: Quantizations | None = Field(
        default=None,
        description="By the name of a tensor, scale and zero_point of its integers, of 8 or 16 bits; a list "
        "goes along the channels, which lie as layout says. A tensor of floats is read as it is. Left out: "
        "tensors of floats, or with a scale and zero point of their own. An extension of v0.7.",
    )

    channels_of_maps: ClassVar[bool] = False
    """Whether cells have axes of rows and columns in its tensors, whether there is one of images or not."""

    def tensor_fields(self) -> Iterator[tuple[Location, str]]:
        """Yield the location and the name of each tensor."""
        for field in type(self).model_fields:
            given = getattr(self, field)
            if field.endswith("_tensor") and given is not None:
                yield (field,), given
            elif field.endswith("_tensors"):
                yield from (((field, row), name) for row, name in enumerate(given or ()))

    def channel_axes(self, field: str, ndim: int) -> tuple[int, ...]:
        """Return the axes along which channels of a field's tensor of so many axes may lie."""
        axes: tuple[int, ...]
        last = ndim - 1
        first = ndim - 3 if self.channels_of_maps or ndim > 3 else ndim - 2
        if field in _OF_MAPS:
            axes = (ndim - 3,)
        elif ndim > 4 or not (field in ("output_tensor", "scores_tensor") or field.endswith("_tensors")):
            axes = (last,)
        else:
            layout = getattr(self, "layout", "channels_last")
            axes = {"auto": (first, last), "channels_first": (first,)}.get(layout, (last,))
        return tuple(axis for axis in axes if axis >= 0)

    def rules(self) -> Iterator[tuple[Location, str]]:
        """Yield what the fields get wrong together."""
        if self.quantization is None:
            return
        fields = {name: location[0] for location, name in self.tensor_fields()}
        quantized = [name for name, field in fields.items() if field not in _OF_INTEGERS]
        for name in self.quantization:
            if name not in fields:
                message = f"the output has no tensor of this name; {closest(name, quantized)}"
                yield ("quantization", name), message
            elif name not in quantized:
                message = f"{fields[name]} holds integers that are what they are"
                yield ("quantization", name), f"{message}; leave it out"

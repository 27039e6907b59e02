"""The file of a fused network: written as a whole or not at all, and over nothing that is another's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from postproc.disk import whole_file
from postproc.errors import FusingError
from postproc.fusing.fuse import FUSED
from postproc.onnx_runner.weights import external_tensors, location


def check_output(output: Path, read: Mapping[Path, str], has_weights: bool) -> None:
    """Check that nothing is written over but a former fused file.

    Parameters
    ----------
    output : Path
        The file.
    read : mapping of Path to str
        The files that it is made of, and what each is.
    has_weights : bool
        Whether weights are written beside it.

    Raises
    ------
    FusingError
        If one of `read` or another file would be, or weights beside it are of another network or cannot lie
        there.
    """
    weights = _weights_beside(output)
    for path in (output, weights) if has_weights else (output,):
        for other, what in read.items():
            if _is_same(path, other):
                raise FusingError(f"{path} is {what} itself: give --output another name")
    if os.path.isfile(output) and not _is_fused(former := _read(output)):
        raise FusingError(
            f"{output} is there already, and is {'another network' if former else 'no ONNX network'}, not a "
            "former fused file: give --output another name, or move it away"
        )
    if not has_weights:
        return
    if os.path.islink(output) or (os.path.exists(output) and not os.path.isfile(output)):
        raise FusingError(
            f"{output} is a link or a device, and weights are to lie beside it: give --output a file's name"
        )
    if os.path.lexists(weights) and not _has_weights(output, weights.name):
        raise FusingError(
            f"{weights}, where weights are to lie, is there already, and not of a fused file {output}: give "
            "--output another name, or move it away"
        )


def write_whole(fused: Any, output: Path, has_weights: bool) -> None:
    """Write a network, with weights beside it or all in one file, which takes 2 GiB.

    Weights of the former file, to which nothing refers any more, go.

    Raises
    ------
    FusingError
        If it cannot be written, or is not valid; what was there stays.
    """
    weights = _weights_beside(output)
    left_over = None if has_weights else _weights_beside(output.resolve())
    if left_over is not None and not _has_weights(output, left_over.name):
        left_over = None
    try:
        with ExitStack() as files:
            pair = (output, weights) if has_weights else ()  # of which one may fail after the other
            formers = [files.enter_context(_put_back_on_failure(path)) for path in pair]
            network = files.enter_context(whole_file(output))
            if has_weights:
                _move_weights(fused, files.enter_context(whole_file(weights)), weights.name)
            network.write_bytes(fused.SerializeToString())
            _check(fused)
            if any(former.exists() for former in formers[:1]):
                output.unlink()  # so that a process killed now leaves none, and not one with others' weights
    except FusingError:
        raise
    except Exception as error:  # the system's, or protobuf's of more than 2 GiB
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, FileExistsError):  # of making the folder
            reason = "its folder is a file"
        raise FusingError(f"cannot write {output}: {reason}") from error
    if left_over is not None:
        with suppress(OSError):  # Windows keeps what a program has open; the fused file is written
            left_over.unlink(missing_ok=True)


def _check(fused: Any) -> None:
    """Check that a network is a valid one; of its weights those that lie in the file alone."""
    import onnx

    if fused.graph.sparse_initializer:  # whose values may lie apart, which onnx 1.16 cannot check
        return
    checked = fused
    if any(True for _ in external_tensors(fused)):
        checked = onnx.ModelProto()
        checked.CopyFrom(fused)
    for tensor in external_tensors(checked):  # whose file has another name until it is whole
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.dims[:] = [0]
    try:
        onnx.checker.check_model(checked)
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())
        raise FusingError(
            f"onnx {onnx.__version__} finds the fused network invalid: {reason}: check the network itself by "
            "onnx.checker.check_model, and export it anew, or install a newer onnx"
        ) from error


def _weights_beside(output: Path) -> Path:
    return output.parent / f"{output.name}.data"


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one is not there, or no name of a file
        return False


def _has_weights(output: Path, name: str) -> bool:
    """Tell whether a file is a fused one whose weights lie in the file of a name."""
    former = _read(output)
    return _is_fused(former) and name in map(location, external_tensors(former))


def _read(path: Path) -> Any:
    """Read a network without its weights; None where there is none."""
    import onnx

    if not os.path.isfile(path):  # a device may have no end
        return None
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception:  # of something else
        return None
    return model if model.graph.node else None


def _is_fused(model: Any) -> bool:
    return model is not None and any(entry.key == FUSED for entry in model.metadata_props)


def _move_weights(model: Any, path: Path, name: str) -> None:
    """Write the weights of a network into a file that is to have a name, and let it refer to them there."""
    from onnx.external_data_helper import convert_model_to_external_data, set_external_data

    convert_model_to_external_data(model)  # chooses them, by their size
    with path.open("wb") as file:
        for tensor in external_tensors(model):
            start = file.tell()
            length = file.write(tensor.raw_data)
            set_external_data(tensor, name, start, length)
            tensor.ClearField("raw_data")


@contextmanager
def _put_back_on_failure(path: Path) -> Iterator[Path]:
    """Put back what was at a path, or nothing, if the block raises; give its second name, if there is one."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    was_there = path.exists()
    with TemporaryDirectory(dir=path.parent, prefix=".", suffix=".former") as folder:
        former = Path(folder, "former")
        if was_there:
            with suppress(OSError):  # a file system without second names for a file
                os.link(path, former)
        try:
            yield former
        except BaseException:
            if former.exists():
                os.replace(former, path)
            elif not was_there:
                path.unlink(missing_ok=True)
            raise

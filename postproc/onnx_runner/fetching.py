"""All files of a network: the ONNX file, and those that its weights lie in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from postproc.schema import Preprocessing
from postproc.stores import StoredPath


def network_files(model: Path) -> dict[str, Path]:
    """Give the files of a network on this machine, by their names relative to the ONNX file's folder.

    Raises
    ------
    OSError
        If there is no such file.
    """
    from postproc.onnx_runner.weights import path_of

    return {model.name: model, **{name: path_of(tensor, model) for name, tensor in _weights(model).items()}}


def fetch_network(source: StoredPath, target: Path) -> None:
    """Copy a network from a store to this machine, with its weights, where the ONNX file is to be `target`.

    Raises
    ------
    FileNotFoundError
        If the store lacks one of them.
    StoreError
        If it does not answer.
    """
    source.fetch(target)
    for name in _weights(target):
        (source.folder / name).fetch(target.parent / name)


def fetch_preprocessing(source: StoredPath, target: Path) -> None:
    """Copy a preprocessing document with the files that it names; raises as `fetch_network`."""
    source.fetch(target)
    for image in filter(None, (item.image for item in Preprocessing.load(target).inputs)):
        if image.mean_file:
            (source.folder / image.mean_file).fetch(target.parent / image.mean_file)


def _weights(model: Path) -> dict[str, Any]:
    """Give a tensor of each file that weights lie in, by the file's name.

    Without the package onnx, or of a file that is none of ONNX, none: ONNX Runtime says then what it misses.
    """
    try:
        import onnx

        from postproc.onnx_runner.weights import external_tensors, leaves, location

        loaded = onnx.load(model, load_external_data=False)
        found = {location(tensor): tensor for tensor in external_tensors(loaded)}
    except Exception:  # what protobuf raises of files that are none of ONNX has no common base
        return {}
    return {name: tensor for name, tensor in found.items() if not leaves(name)}

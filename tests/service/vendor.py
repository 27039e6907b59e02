"""The demo's networks by the vendor's client `deepomatic-api`, and what they have to find."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from deepomatic.api.client import Client
from PIL import Image

from postproc import PostProcessor, demo
from postproc.demo.pages import make_page
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion

PAGE = make_page(3)


def png(pixels: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


IMAGE = png(PAGE.image)


def make_network(client: Client, kind: str = "yolo") -> Any:
    network = client.Network.create(
        name=f"digits {kind}",
        framework="tensorflow-1.x",
        preprocessing=Preprocessing.load(demo.preprocessing_path(kind)).dump(),
        files={"saved_model.pb": BytesIO(demo.model_path(kind).read_bytes())},
    )
    assert client.Task.retrieve(network["task_id"]).wait()["status"] == "success"
    return network


def make_spec(client: Client, kind: str = "yolo", **fields: Any) -> Any:
    outputs = RecognitionSpec.load(demo.spec_path(kind)).dump()["outputs"]
    return client.RecognitionSpec.create(**{"name": "digits", "outputs": outputs, **fields})


def make_version(client: Client, spec: Any, network: Any, kind: str = "yolo") -> Any:
    return client.RecognitionVersion.create(
        spec_id=spec["id"],
        network_id=network["id"],
        post_processings=RecognitionVersion.load(demo.version_path(kind)).dump()["post_processings"],
    )


def expected(kind: str = "yolo", image: Any = None, **options: Any) -> dict[str, Any]:
    """Return what the library finds by itself."""
    batch = Preprocessor(demo.preprocessing_path(kind))([PAGE.image if image is None else image])
    post = PostProcessor(demo.spec_path(kind), demo.version_path(kind))
    runner = OnnxRunner(demo.model_path(kind), post)
    data: dict[str, Any] = runner(batch.tensors, transforms=batch.transforms, **options).to_dicts()[0]
    return data


def check_same(found: Any, wanted: Any) -> None:
    """Compare results; numbers may differ in the last digits, since requests may share a network call."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for name in wanted:
            check_same(found[name], wanted[name])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            check_same(one, other)
    else:
        assert type(found) is type(wanted)
        assert found == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted)

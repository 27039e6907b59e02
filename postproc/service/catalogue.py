"""The public specs: the networks of `postproc.demo`, which every tenant may read and run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from postproc import demo
from postproc.pipeline import PostProcessor
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion
from postproc.service.work import NetworkFiles


@dataclass(frozen=True)
class PublicModel:
    """A network with a spec and a version, all of them called by one text.

    Parameters
    ----------
    name : str
        The id of the network, the spec and the version.
    network, spec, version : dict
        As the API answers them.
    files : NetworkFiles
        What runs.
    post : PostProcessor
        What turns its tensors into recognitions.
    """

    name: str
    network: dict[str, Any]
    spec: dict[str, Any]
    version: dict[str, Any]
    files: NetworkFiles
    post: PostProcessor

    @cached_property
    def report(self) -> dict[str, Any]:
        """The tensors of the network, as the check of an upload reports them."""
        import onnx

        graph = onnx.load(str(self.files.model), load_external_data=False).graph
        return {
            kind: [{"name": tensor.name} for tensor in tensors]
            for kind, tensors in (("inputs", graph.input), ("outputs", graph.output))
        }


def public_models() -> dict[str, PublicModel]:
    """Return all public models by name."""
    return {model.name: model for model in map(_public_model, demo.MODELS)}


def _public_model(kind: str) -> PublicModel:
    name = f"digits-{kind}"
    spec = RecognitionSpec.load(demo.spec_path(kind))
    version = RecognitionVersion.load(demo.version_path(kind))
    preprocessing = Preprocessing.load(demo.preprocessing_path(kind))
    path = demo.model_path(kind)
    described: dict[str, Any] = {
        "id": name,
        "name": f"{spec.name} ({kind})",
        "description": spec.description,
        "metadata": {},
        "task_id": None,
        "create_date": None,
        "update_date": None,
    }
    return PublicModel(
        name=name,
        network={
            **described,
            "framework": "onnx",
            "preprocessing": preprocessing.dump(),
            "postprocessings": [],
        },
        spec={**described, "current_version_id": name, "outputs": spec.dump()["outputs"]},
        version={
            "id": name,
            "spec_id": name,
            "spec_name": described["name"],
            "network_id": name,
            "network_name": described["name"],
            "update_date": None,
            "post_processings": version.dump()["post_processings"],
        },
        files=NetworkFiles(name, path.parent, path, preprocessing),
        post=PostProcessor(spec, version),
    )

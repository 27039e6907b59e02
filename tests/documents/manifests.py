"""The manifests of docs/kubernetes, and the schemas that they have to fit.

Of Kubernetes' own objects these come with the package kubernetes-validate, in which a field that there is
not is an error. The custom resources are described here as far as the manifests use them, in our own words;
their pods are Kubernetes'. Where `POSTPROC_CRDS` names a folder of CustomResourceDefinitions, these are asked
too: `helm show crds kuberay/kuberay-operator`, or `kubectl get crd NAME -o yaml` of a cluster, prints them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.documents.pages import ROOT

FOLDER = ROOT / "docs" / "kubernetes"
KUBERNETES = "1.35.0"
_DEFINITIONS = "https://kubernetes.io/api/_definitions.json"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SELECTOR = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"
# Its schema takes any text; this is the form that Kubernetes' documentation of it has.
_QUANTITY_FORM = r"^[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]?|[eE][+-]?[0-9]+)$"

Json = dict[str, Any]


def _known(name: str) -> Json:
    return {"$ref": f"{_DEFINITIONS}#/$defs/{name}"}


def _object(required: str = "", **properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_LABELS = {"type": "array", "items": _object(targetLabel=_TEXT, replacement=_TEXT)}
_POD = _known("io.k8s.api.core.v1.PodTemplateSpec")
_CREDENTIAL = _object(value=_TEXT, valueFrom=_known("io.k8s.api.core.v1.EnvVarSource"))
_WORKERS = _object(
    "groupName maxReplicas minReplicas template",
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    numOfHosts=_COUNT,
    rayStartParams=_TEXTS,
    template=_POD,
)
_SPECS: dict[tuple[str, str], Json] = {
    ("ray.io/v1", "RayCluster"): _object(
        "headGroupSpec",
        rayVersion=_TEXT,
        headGroupSpec=_object("template", rayStartParams=_TEXTS, serviceType=_TEXT, template=_POD),
        workerGroupSpecs={"type": "array", "items": _WORKERS},
        gcsFaultToleranceOptions=_object(
            redisAddress=_TEXT, redisUsername=_CREDENTIAL, redisPassword=_CREDENTIAL
        ),
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): _object(
        "selector podMetricsEndpoints",
        selector=_known(_SELECTOR),
        podMetricsEndpoints={"type": "array", "items": _object(port=_TEXT, path=_TEXT, relabelings=_LABELS)},
    ),
}


def documents(name: str) -> list[Json]:
    """Return what a file of the folder holds."""
    return list(filter(None, yaml.load_all((FOLDER / name).read_text(), yaml.CSafeLoader)))


class Schemas:
    """Schemas by the version and kind of objects."""

    def __init__(self) -> None:
        place = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"
        definitions = json.loads((place / "_definitions.json").read_text())
        definitions["$defs"][_QUANTITY] = {"type": ["string", "number"], "pattern": _QUANTITY_FORM}
        self._registry: Any = Registry().with_resource(_DEFINITIONS, Resource.from_contents(definitions))
        self._schemas: dict[tuple[str, str], Json] = {
            (api_version, kind): _object(
                "apiVersion kind metadata spec",
                apiVersion={"const": api_version},
                kind={"const": kind},
                metadata=_known(_META),
                spec=spec,
            )
            for (api_version, kind), spec in _SPECS.items()
        }
        for name, schema in definitions["$defs"].items():
            for known in schema.get("x-kubernetes-group-version-kind", ()):
                api_version = "/".join(filter(None, (known["group"], known["version"])))
                self._schemas[api_version, known["kind"]] = _known(name)

    def errors(self, document: Json) -> Iterator[str]:
        """Say what is wrong with an object, and where."""
        key = document.get("apiVersion"), document.get("kind")
        if key not in self._schemas:
            yield f"there is no {key[0]} {key[1]}"
            return
        yield from _errors(Draft202012Validator(self._schemas[key], registry=self._registry), document)


class Definitions:
    """The schemas of CustomResourceDefinitions, in which fields that they do not have are errors, too."""

    def __init__(self, folder: Path) -> None:
        self._schemas: dict[tuple[str, str], Json] = {}
        for path in folder.glob("*.yaml"):
            for document in filter(None, yaml.load_all(path.read_text(), yaml.CSafeLoader)):
                spec = document["spec"]
                for version in spec["versions"]:
                    schema = version["schema"]["openAPIV3Schema"]
                    _close(schema)
                    schema["properties"]["metadata"] = {"type": "object"}
                    self._schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema

    @classmethod
    def found(cls) -> Definitions | None:
        """Read those of the folder in the environment."""
        folder = os.environ.get("POSTPROC_CRDS")
        return cls(Path(folder)) if folder else None

    def errors(self, document: Json) -> Iterator[str]:
        """Say what is wrong with an object, and where."""
        key = document["apiVersion"], document["kind"]
        if key not in self._schemas:
            yield f"there is no {key[0]} {key[1]}"
            return
        yield from _errors(Draft202012Validator(self._schemas[key]), document)


def _errors(validator: Draft202012Validator, document: Json) -> Iterator[str]:
    for error in validator.iter_errors(document):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


def _close(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
    elif isinstance(schema, list):
        for part in schema:
            _close(part)

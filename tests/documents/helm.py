"""What KubeRay's chart `ray-cluster` (1.7.0) makes of docs/kubernetes/values.yaml."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

# Where a value of the head or of a group goes: of the pod's specification, of Ray's container, of the group.
_POD = {
    "podSecurityContext": "securityContext",
    "tolerations": "tolerations",
    "topologySpreadConstraints": "topologySpreadConstraints",
    "volumes": "volumes",
}
_CONTAINER = {
    "args": "args",
    "command": "command",
    "containerEnv": "env",
    "envFrom": "envFrom",
    "lifecycle": "lifecycle",
    "ports": "ports",
    "resources": "resources",
    "securityContext": "securityContext",
    "volumeMounts": "volumeMounts",
}
_GROUP = ("replicas", "minReplicas", "maxReplicas")
GROUP_VALUES = {*_POD, *_CONTAINER, *_GROUP, "annotations", "labels", "rayStartParams", "sidecarContainers"}
HEAD_VALUES = {*_POD, *_CONTAINER, "labels", "rayStartParams", "rayVersion"}
TOP_VALUES = {"additionalWorkerGroups", "fullnameOverride", "gcsFaultTolerance", "head", "image", "worker"}


def rendered(values: Json) -> Json:
    """Return the RayCluster that the chart makes of values.

    Raises
    ------
    KeyError
        With the path of a value that the chart does not have, or that is not known here.
    """
    _check(values, TOP_VALUES, "")
    _check(values["head"], HEAD_VALUES, "head.")
    image = _image(values["image"])
    spec: Json = {
        "rayVersion": values["head"]["rayVersion"],
        "headGroupSpec": {
            "rayStartParams": values["head"]["rayStartParams"],
            "template": _template(values["head"], "ray-head", image),
        },
        "workerGroupSpecs": [],
    }
    if values["worker"] != {"disabled": True}:
        raise KeyError("worker: only that it is disabled is known here")
    for name, group in values["additionalWorkerGroups"].items():
        _check(group, GROUP_VALUES, f"additionalWorkerGroups.{name}.")
        spec["workerGroupSpecs"].append(
            {
                "groupName": name,
                "numOfHosts": 1,
                **{field: group[field] for field in _GROUP},
                **({"rayStartParams": group["rayStartParams"]} if "rayStartParams" in group else {}),
                "template": _template(group, "ray-worker", image),
            }
        )
    given = values.get("gcsFaultTolerance", {})
    _check(given, {"enabled", "redisAddress", "redisPassword", "redisUsername"}, "gcsFaultTolerance.")
    if given.get("enabled"):
        spec["gcsFaultToleranceOptions"] = {name: value for name, value in given.items() if name != "enabled"}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": values["fullnameOverride"]},
        "spec": spec,
    }


def _check(values: Json, known: set[str], place: str) -> None:
    for name in values:
        if name not in known:
            raise KeyError(f"{place}{name}")


def _image(values: Json) -> Json:
    _check(values, {"repository", "tag", "pullPolicy"}, "image.")
    return {
        "image": f"{values['repository']}:{values['tag']}",
        "imagePullPolicy": values["pullPolicy"],
    }


def _template(values: Json, name: str, image: Json) -> Json:
    container = {place: values[field] for field, place in _CONTAINER.items() if field in values}
    pod = {place: values[field] for field, place in _POD.items() if field in values}
    metadata = {field: values[field] for field in ("annotations", "labels") if field in values}
    containers = [{"name": name, **image, **container}, *values.get("sidecarContainers", ())]
    return {"metadata": metadata, "spec": {**pod, "containers": containers}}

"""The manifests of docs/kubernetes fit the schemas of what they make, the service, and each other."""

from __future__ import annotations

import copy
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip("kubernetes_validate", reason="the extra test is not installed")

from postproc.cli.app import app
from postproc.service.settings import DATABASE_VARIABLE, KEY_VARIABLE, ServiceSettings
from tests.documents.helm import rendered
from tests.documents.manifests import FOLDER, Definitions, Schemas, documents
from tests.documents.pages import ROOT, blocks
from tests.service.serving import serving
from tests.service.waiting import wait_until

PAGE = ROOT / "docs" / "kubernetes.md"
CUSTOM = ("RayCluster", "PodMonitor")
# Of the environment of a container: what KubeRay sets, and what the store of files reads.
KUBERAY = {"KUBERAY_GEN_RAY_START_CMD", "RAY_ADDRESS"}
STORE = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"}

Json = dict[str, Any]
Change = Callable[[Json], object]


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas()


def objects() -> dict[str, Json]:
    """What is applied, by kind, with the cluster as the chart makes it."""
    (values,) = documents("values.yaml")
    found = [*documents("cluster.yaml"), *documents("service.yaml")]
    return {**{document["kind"]: document for document in found}, "Helm": rendered(values)}


def groups(cluster: Json) -> dict[str, Json]:
    """The groups of pods of a cluster by their names, that of the head as "head"."""
    spec = cluster["spec"]
    return {
        "head": spec["headGroupSpec"],
        **{group["groupName"]: group for group in spec["workerGroupSpecs"]},
    }


def pod(cluster: Json, group: str) -> Json:
    found: Json = groups(cluster)[group]["template"]["spec"]
    return found


def ray(cluster: Json, group: str) -> Json:
    """Return the container of a group that KubeRay has run Ray."""
    found: Json = pod(cluster, group)["containers"][0]
    return found


def with_redis(cluster: Json) -> Json:
    """Return the cluster with the block of the page that has Redis keep the head's state."""
    (block,) = (block for block in blocks(PAGE, "yaml") if "gcsFaultToleranceOptions" in block.code)
    changed = copy.deepcopy(cluster)
    changed["spec"].update(yaml.safe_load(block.code)["spec"])
    return changed


def with_helms_redis() -> Json:
    (block,) = (block for block in blocks(PAGE, "yaml") if "gcsFaultTolerance:" in block.code)
    return rendered({**documents("values.yaml")[0], **yaml.safe_load(block.code)})


def everything() -> dict[str, Json]:
    found = objects()
    return {**found, "Redis": with_redis(found["RayCluster"]), "Helm with Redis": with_helms_redis()}


def test_manifests_fit_their_schemas(schemas: Schemas) -> None:
    for name, document in everything().items():
        assert list(schemas.errors(document)) == [], name


def test_custom_resources_fit_the_definitions_of_their_operators() -> None:
    definitions = Definitions.found()
    if definitions is None:
        pytest.skip("POSTPROC_CRDS names no folder of CustomResourceDefinitions")
    for name, document in everything().items():
        if document["kind"] in CUSTOM:
            assert list(definitions.errors(document)) == [], name
    for kind, change in MISTAKES:
        if kind in CUSTOM:
            assert list(definitions.errors(changed(kind, change))) != []


def front_ends(cluster: Json) -> Json:
    return groups(cluster)["front-ends"]


def in_front_end(cluster: Json) -> Json:
    return ray(cluster, "front-ends")


# Each is one that a person makes, and has to be found.
MISTAKES: list[tuple[str, Change]] = [
    ("RayCluster", lambda o: o["spec"].update(workerGroupSpec=[])),
    ("RayCluster", lambda o: o["spec"].update(rayVersion=2.6)),
    ("RayCluster", lambda o: o["spec"]["headGroupSpec"].pop("template")),
    ("RayCluster", lambda o: o["spec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0})),
    ("RayCluster", lambda o: front_ends(o).update(replicas="2")),
    ("RayCluster", lambda o: front_ends(o).update(minReplica=2)),
    ("RayCluster", lambda o: front_ends(o)["template"].update(terminationGracePeriodSeconds=60)),
    ("RayCluster", lambda o: front_ends(o)["template"]["spec"].update(terminationGraceSeconds=60)),
    ("RayCluster", lambda o: front_ends(o)["template"]["spec"].update(terminationGracePeriodSeconds="60")),
    ("RayCluster", lambda o: in_front_end(o).update(readynessProbe={})),
    ("RayCluster", lambda o: in_front_end(o)["readinessProbe"].update(periodSecond=5)),
    ("RayCluster", lambda o: in_front_end(o)["readinessProbe"]["httpGet"].pop("port")),
    ("RayCluster", lambda o: in_front_end(o)["resources"]["limits"].update(memory="12Gib")),
    ("RayCluster", lambda o: in_front_end(o)["securityContext"].update(runAsNonroot=True)),
    ("RayCluster", lambda o: in_front_end(o).update(args="postproc serve")),
    ("RayCluster", lambda o: in_front_end(o)["env"][0]["valueFrom"].update(secretKey={})),
    ("RayCluster", lambda o: o.update(apiVersion="ray.io/v1beta1")),
    ("Service", lambda o: o["spec"]["ports"][0].update(port="http")),
    ("Service", lambda o: o["spec"].update(selectors={})),
    ("Ingress", lambda o: o["spec"]["rules"][0]["http"]["paths"][0].pop("pathType")),
    (
        "Ingress",
        lambda o: o["spec"]["rules"][0]["http"]["paths"][0]["backend"].update(serviceName="postproc"),
    ),
    ("PodDisruptionBudget", lambda o: o["spec"].update(minimumAvailable=1)),
    ("PodDisruptionBudget", lambda o: o.update(apiVersion="policy/v1beta1")),
    ("NetworkPolicy", lambda o: o["spec"]["ingress"][0].update(form=[])),
    ("PodMonitor", lambda o: o["spec"].update(endpoints=[])),
    ("PodMonitor", lambda o: o["spec"]["podMetricsEndpoints"][0]["relabelings"][0].update(target="job")),
    ("PodMonitor", lambda o: o["spec"]["podMetricsEndpoints"][0].update(paths="/metrics")),
]


def changed(kind: str, change: Change) -> Json:
    document = copy.deepcopy(objects()[kind])
    change(document)
    return document


@pytest.mark.parametrize(("kind", "change"), MISTAKES)
def test_mistake_is_found(schemas: Schemas, kind: str, change: Change) -> None:
    assert list(schemas.errors(changed(kind, change))) != []


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("heads", lambda values: values.update(heads={})),
        ("head.resource", lambda values: values["head"].update(resource={})),
        (
            "additionalWorkerGroups.gpus.readinessProbe",
            lambda values: values["additionalWorkerGroups"]["gpus"].update(readinessProbe={}),
        ),
        ("image.name", lambda values: values["image"].update(name="postproc")),
    ],
)
def test_value_that_the_chart_lacks_is_found(path: str, change: Change) -> None:
    (values,) = documents("values.yaml")
    change(values)
    with pytest.raises(KeyError, match=rf"^'{re.escape(path)}'$"):
        rendered(values)


def test_helm_makes_the_cluster_of_the_manifest() -> None:
    manifest, helm = objects()["RayCluster"], objects()["Helm"]
    assert list(groups(manifest)) == list(groups(helm))
    assert helm["metadata"]["name"] == manifest["metadata"]["name"]
    assert helm["spec"]["rayVersion"] == manifest["spec"]["rayVersion"]
    lacking = ("startupProbe", "readinessProbe", "livenessProbe")  # the chart has no place for these
    pods_lack = ("automountServiceAccountToken", "terminationGracePeriodSeconds")
    for name, group in groups(manifest).items():
        other = groups(helm)[name]
        for field in ("replicas", "minReplicas", "maxReplicas"):
            assert other.get(field) == group.get(field)
        assert other.get("rayStartParams", {}) == group["rayStartParams"]
        assert other["template"]["metadata"] == group["template"]["metadata"]
        container = {**ray(helm, name)}
        assert container.pop("imagePullPolicy") == "IfNotPresent"
        assert container == {field: it for field, it in ray(manifest, name).items() if field not in lacking}
        rest = [{field: it for field, it in pod(each, name).items() if field != "containers"} for each in
                (helm, manifest)]  # fmt: skip
        assert rest[0] == {field: it for field, it in rest[1].items() if field not in pods_lack}
    (ready,) = pod(helm, "front-ends")["containers"][1:]
    probe = copy.deepcopy(ray(manifest, "front-ends")["readinessProbe"])
    probe["httpGet"]["port"] = 8000  # whose name is another container's
    assert ready["readinessProbe"] == probe
    assert ready["image"] == ray(manifest, "front-ends")["image"]


def command(cluster: Json) -> str:
    (text,) = ray(cluster, "front-ends")["args"]
    return str(text)


def test_service_takes_the_command_of_the_front_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[ServiceSettings] = []
    monkeypatch.setattr("postproc.service.serving.run", lambda settings, keys: taken.append(settings))
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://user:password@host/name")
    (line,) = (line for line in command(objects()["RayCluster"]).replace("\\\n", "").splitlines()
               if "postproc serve" in line)  # fmt: skip
    words = shlex.split(line.replace("$RAY_ADDRESS", "head:6379").replace("/data/", f"{tmp_path}/"))
    assert words[:3] == ["exec", "postproc", "serve"]
    ended = CliRunner().invoke(app, words[2:])
    assert ended.exit_code == 0, ended.output
    (settings,) = taken
    assert settings.ray == "head:6379"
    assert settings.database is not None
    # A replica more than the GPUs of the group have room for would wait for ever.
    group = groups(objects()["RayCluster"])["gpus"]
    gpus = float(ray(objects()["RayCluster"], "gpus")["resources"]["limits"]["nvidia.com/gpu"])
    assert settings.ray_max_replicas * settings.ray_gpus <= group["replicas"] * gpus
    assert settings.ray_max_replicas * settings.ray_cpus <= group["replicas"] * int(
        ray(objects()["RayCluster"], "gpus")["resources"]["limits"]["cpu"]
    )


def test_folders_have_room_for_what_is_kept_there() -> None:
    cluster = objects()["RayCluster"]
    serve = command(cluster)
    gib = {name: int(re.search(rf"{name} ([0-9]+)", serve)[1]) for name in ("--store-cache", "--max-uploads")}  # type: ignore[index]
    model = ServiceSettings.model_fields["max_model"].default >> 30
    sizes = {}
    for name in ("front-ends", "gpus"):
        volumes = {volume["name"]: volume for volume in pod(cluster, name)["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in ray(cluster, name)["volumeMounts"]}
        sizes[name] = int(volumes[mounts["/data"]]["emptyDir"]["sizeLimit"].removesuffix("Gi"))
    assert sizes["front-ends"] >= gib["--store-cache"] + gib["--max-uploads"] * model
    assert sizes["gpus"] >= gib["--store-cache"] + model


def test_environment_is_one_that_is_read() -> None:
    read = {DATABASE_VARIABLE, KEY_VARIABLE, *KUBERAY, *STORE}
    for cluster in (objects()["RayCluster"], objects()["Helm"]):
        used = set(re.findall(r"\$\{?(\w+)", command(cluster)))
        for name in groups(cluster):
            used |= {variable["name"] for variable in ray(cluster, name).get("env", ())}
        assert used <= read
    secrets = "".join(block.code for block in blocks(PAGE, "sh") if "create secret" in block.code)
    assert set(re.findall(r"--from-literal=([A-Z_]+)=", secrets)) <= STORE
    text = (ROOT / "docs" / "scaling.md").read_text()
    assert all(name in text for name in STORE)


def test_secrets_are_those_of_the_page() -> None:
    made = {
        name: set(re.findall(r"--from-literal=([\w-]+)=", rest))
        for name, rest in re.findall(
            r"create secret generic (\S+)((?:.*\\\n)*.*)", "\n".join(b.code for b in blocks(PAGE, "sh"))
        )
    }
    used: dict[str, set[str]] = {}

    def look(found: Any) -> None:
        if isinstance(found, dict):
            for name in ("secretKeyRef", "secretRef"):
                if name in found:
                    keys = used.setdefault(found[name]["name"], set())
                    keys |= {found[name]["key"]} if "key" in found[name] else set()
            for each in found.values():
                look(each)
        elif isinstance(found, list):
            for each in found:
                look(each)

    look(list(everything().values()))
    assert used.pop("postproc-redis") == {"password"}  # Redis' own, which who runs it has made
    assert used.keys() == made.keys()
    assert all(keys <= made[name] for name, keys in used.items())


def labels(cluster: Json, group: str) -> dict[str, str]:
    found: dict[str, str] = groups(cluster)[group]["template"]["metadata"]["labels"]
    return found


@pytest.mark.parametrize("cluster", ["RayCluster", "Helm"])
def test_what_stands_before_front_ends_finds_them(cluster: str) -> None:
    found = objects()
    ports = {
        name: {port["name"] for port in ray(found[cluster], name)["ports"]} for name in groups(found[cluster])
    }
    selected = {
        "Service": found["Service"]["spec"]["selector"],
        "PodDisruptionBudget": found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "spread": pod(found[cluster], "front-ends")["topologySpreadConstraints"][0]["labelSelector"][
            "matchLabels"
        ],
        "PodMonitor": found["PodMonitor"]["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    }
    for name, selector in selected.items():
        chosen = {group for group in ports if selector.items() <= labels(found[cluster], group).items()}
        assert chosen == (set(ports) if name in ("PodMonitor", "NetworkPolicy") else {"front-ends"}), name
    assert found["Service"]["spec"]["ports"][0]["targetPort"] in ports["front-ends"]
    endpoints = found["PodMonitor"]["spec"]["podMetricsEndpoints"]
    jobs = yaml.safe_load((ROOT / "docs" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert {endpoint["relabelings"][0]["replacement"] for endpoint in endpoints} == {
        job["job_name"] for job in jobs
    }
    scraped = {endpoint["port"] for endpoint in endpoints}
    open_to_all = {port["port"] for port in found["NetworkPolicy"]["spec"]["ingress"][1]["ports"]}
    assert scraped == open_to_all
    assert scraped <= set.union(*ports.values())


def test_ingress_leads_to_all_of_the_service_but_its_probes_and_metrics(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        pages = "".join(httpx.get(service.host + path).text for path in ("/", "/docs"))
        asked = {"/", "/docs", "/openapi.json", *service.app.openapi()["paths"]}
        asked |= {f"/{path}" for path in re.findall(r'(?:src|href)="/?([^":#]+)"', pages)}
    paths = objects()["Ingress"]["spec"]["rules"][0]["http"]["paths"]
    patterns = [
        re.compile(re.escape(path["path"]) + ("" if path["pathType"] == "Exact" else "(/.*)?"))
        for path in paths
    ]
    hidden = {path for path in asked if not any(pattern.fullmatch(path) for pattern in patterns)}
    assert hidden == {"/metrics", "/healthz", "/readyz"}
    assert all(any(pattern.fullmatch(path) for path in asked) for pattern in patterns)


def test_command_starts_ray_again_and_ends_with_the_service(tmp_path: Path) -> None:
    """Bash runs the container's command, with programs in the place of Ray's and the service's."""
    programs = {
        "ray": f'echo "$@" >> {tmp_path}/started',
        "sleep": f"exec {shutil.which('sleep')} 0.01",
        # As the service does, it ends by SIGTERM in its own time.
        "postproc": f"trap 'echo ended >> {tmp_path}/service; exit 7' TERM\n"
        f'echo "$@" > {tmp_path}/service\nwhile true; do sleep 1; done',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    container = ray(objects()["RayCluster"], "front-ends")
    started = subprocess.Popen(
        [*container["command"], *container["args"]],
        env={
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "KUBERAY_GEN_RAY_START_CMD": "ray start --block",
            "RAY_ADDRESS": "head:6379",
        },
        start_new_session=True,
        stderr=subprocess.DEVNULL,  # where this machine has fewer files than ulimit asks for
    )
    try:
        wait_until(lambda: (tmp_path / "started").exists() and (tmp_path / "service").exists())
        wait_until(lambda: (tmp_path / "started").read_text().count("start --block\n") > 2)
        assert "--ray head:6379 " in (tmp_path / "service").read_text()
        started.send_signal(signal.SIGTERM)  # which reaches the first process of a container
        assert started.wait(10) == 7
        assert (tmp_path / "service").read_text().endswith("ended\n")
    finally:
        os.killpg(started.pid, signal.SIGKILL)  # as the end of its first process ends a container


def test_container_that_waits_ends_as_the_first_process_of_a_container() -> None:
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("needs the right to make namespaces of processes")
    (_, ready) = pod(objects()["Helm"], "front-ends")["containers"]
    name, *arguments = ready["command"]
    assert name == "python"
    with subprocess.Popen([*alone, sys.executable, *arguments]) as started:
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children")

        def told() -> bool:
            for child in children.read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGTERM)  # which is lost until it blocks it
            return started.poll() is not None

        try:
            wait_until(told, pause=0.1)
        finally:
            started.kill()
    assert started.returncode == 0


def test_image_has_the_ray_of_the_cluster() -> None:
    (version,) = re.findall(r"ray\[serve\]==([0-9.]+)", (FOLDER / "Containerfile").read_text())
    assert version == objects()["RayCluster"]["spec"]["rayVersion"]

"""What front ends, their links and replicas hand each other, and what a deployment is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from postproc.service.engine.networks.calls import Answer, Stage
from postproc.service.engine.networks.messages import Results
from postproc.service.settings import ServiceSettings
from postproc.service.store.networks import FileEntry
from postproc.service.store.objects import entries_of
from postproc.service.work import TASK_MARGIN

# Of a replica: one runs, and the tensors of the next are here when it ends.
MOST_ONGOING = 2


class ReplicaSettings(BaseModel):
    """Settings of a deployment; sizes in bytes, times in seconds.

    They are those of the service of the same names, without what replicas must not know: the database.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = Field(description="URL of the networks' files.")
    store_cache: PositiveInt = Field(description="Most bytes of copies on a machine.")
    in_use: PositiveFloat = Field(description="Seconds after its last use in which a copy stays.")
    ray_copies: Path | None = Field(default=None, description="Folder of the copies.")
    session_memory: PositiveInt = Field(description="Most memory of the networks of a replica.")
    max_result_bytes: PositiveInt = Field(description="Largest result of a task.")
    providers: tuple[str, ...] | None = None
    intra_op_threads: PositiveInt | None = None
    run_seconds: PositiveFloat = Field(description="Longest call of a network.")
    model_check_timeout: PositiveFloat = Field(description="Longest time to load a network.")
    ray_min_replicas: int = Field(default=1, ge=0)
    ray_max_replicas: PositiveInt = 4
    ray_cpus: NonNegativeFloat = 1.0
    ray_gpus: NonNegativeFloat = 0.0

    @classmethod
    def of(cls, settings: ServiceSettings) -> ReplicaSettings:
        """Take what a service has for its replicas."""
        given = {name: getattr(settings, name) for name in cls.model_fields if name != "in_use"}
        return cls(in_use=settings.task_timeout + TASK_MARGIN, **given)


@dataclass(frozen=True)
class NetworkSource:
    """Where a replica finds the files of a network.

    Parameters
    ----------
    model : str
        The ONNX file among them; of a public network, which every installation has, the id of that.
    entries : tuple of FileEntry
        All of them, as the store has them; none of a public one.
    """

    model: str
    entries: tuple[FileEntry, ...] = ()
    key: str = field(init=False)

    def __post_init__(self) -> None:
        content = json.dumps([self.model, [[entry.path, entry.digest] for entry in self.entries]])
        object.__setattr__(self, "key", hashlib.sha256(content.encode()).hexdigest())

    @classmethod
    def of(cls, network_id: int | str, model: Path) -> NetworkSource:
        """Describe the files beside a model, which are read for their digests; an OSError if it is gone."""
        if isinstance(network_id, str):
            return cls(network_id)
        if not model.is_file():
            raise FileNotFoundError(f"there is no file {model}")
        return cls(model.name, tuple(entries_of(model.parent)))


@dataclass(frozen=True)
class LinkOrder:
    """What a link connects to.

    Parameters
    ----------
    address : str
        Of the cluster.
    app : str
        Name of the application of Ray Serve.
    replicas : ReplicaSettings
        Of which it is made where it is not there.
    """

    address: str
    app: str
    replicas: ReplicaSettings

    @classmethod
    def of(cls, settings: ServiceSettings) -> LinkOrder:
        """Take what a service has for its link."""
        return cls(settings.ray or "", settings.ray_app, ReplicaSettings.of(settings))


@dataclass(frozen=True)
class Reply:
    """The end of a call: an answer, or one of some reasons why there is none.

    Parameters
    ----------
    results : list of (int, str or None, str or None)
        Those that were not told before, also where the call then failed: row, text and error.
    answer : Answer, optional
        As of `NetworkProcess.run`.
    hung : str, optional
        What the call was at that did not end in its time.
    crashed : str, optional
        What the process ended with, or that replicas did.
    lost : str, optional
        Why it did not run, and may elsewhere.
    failed : str, optional
        What a replica raised, which is a defect.
    """

    results: Results = field(default_factory=list)
    answer: Answer | None = None
    hung: Stage | None = None
    crashed: str | None = None
    lost: str | None = None
    failed: str | None = None

    @property
    def trouble(self) -> str | None:
        """What went wrong, for logs."""
        ending = self.hung or self.crashed or self.lost or self.failed
        return ending or (self.answer.trouble if self.answer else None)


Told: TypeAlias = "float | Results | Reply | None"
"""What is told of a call: seconds for which others had better not come, 0 where they may; results, none of
which say that it has begun to run; None: its replica was lost, and it is tried again; its end."""

"""What an operator may choose: where things lie, and every limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from postproc.service.hosts import public_url

KEY_VARIABLE = "POSTPROC_API_KEY"  # of the environment: a key of the default tenant
DATABASE_VARIABLE = "POSTPROC_DATABASE"  # the same as --database

_MIB = 1 << 20
_GIB = 1 << 30
_PILLOW_PIXELS = 89_478_485  # Image.MAX_IMAGE_PIXELS, which holds for the whole process


# As browsers send it: without a path or a slash at its end. A star stands for all.
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[a-z0-9._:\[\]-]+)$")]
PublicUrl = Annotated[str, AfterValidator(public_url)]


class ServiceSettings(BaseModel):
    """Settings of one service; sizes in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    data: Path = Field(description="Folder of the networks' files, and of the database unless one is named.")
    database: str | None = Field(
        default=None,
        repr=False,  # it may hold a password
        description="SQLAlchemy URL; a file of SQLite in the data folder if left out. Every user sees it in "
        f"the list of processes: give one with a password as {DATABASE_VARIABLE}, or in a file.",
    )
    database_file: Path | None = Field(
        default=None,
        description="File that holds the database's URL, in place of --database.",
    )
    store: str | None = Field(
        default=None,
        description="URL of the networks' files, s3://bucket/prefix or file:///folder, which any number of "
        "services share that have the same PostgreSQL (--database); --data is the folder of this one then, "
        "for copies.",
    )
    store_cache: PositiveInt = Field(
        default=20 * _GIB,
        description="Most bytes of the store's files that are kept in the data folder; what was used within "
        "the time of a task stays all the same.",
    )
    lease_seconds: PositiveFloat = Field(
        default=10.0,
        description="With --store, seconds without a sign of life after which others take over the tasks of "
        "a service.",
    )
    ray: str | None = Field(
        default=None,
        description="Address of a Ray cluster whose Ray Serve runs the networks: auto for the one that this "
        "machine is a node of, or HOST:PORT as `ray start` prints it. Needs --store, which its nodes reach.",
    )
    ray_app: str = Field(
        default="postproc",
        min_length=1,
        description="With --ray, name of the application of Ray Serve, which the first service makes.",
    )
    ray_min_replicas: NonNegativeInt = Field(
        default=1, description="With --ray, fewest processes that run networks, in the whole cluster."
    )
    ray_max_replicas: PositiveInt = Field(
        default=4, description="With --ray, most of them; their number follows the calls that wait."
    )
    ray_cpus: NonNegativeFloat = Field(
        default=1.0,
        description="With --ray, cores that each takes; as many threads share an operator by default.",
    )
    ray_gpus: NonNegativeFloat = Field(
        default=0.0, description="With --ray, GPUs that each takes, or the part of one: 0.25."
    )
    ray_copies: Path | None = Field(
        default=None,
        description="With --ray, folder of the copies of the store's files on each node, of --store-cache at "
        "most; one among the temporary files if left out.",
    )
    adopt: bool = Field(
        default=False,
        description="For one start: let a data folder and a database that do not know each other belong "
        "together. Networks of the folder that the database does not know are moved aside.",
    )
    wait: NonNegativeFloat = Field(
        default=0.0,
        description="How long to wait for a service that uses the folder, the database or the port to end, "
        "in seconds.",
    )
    swept_seconds: PositiveFloat = Field(
        default=7 * 24 * 3600.0,
        description="How long files that a start moved aside are kept in the folder's `swept`, in seconds.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    public_url: PublicUrl | None = Field(
        default=None,
        description="URL that clients know the service by, such as https://api.example.com; links between "
        "pages of a list begin with it. The Host header of the request if left out.",
    )
    providers: tuple[str, ...] | None = Field(
        default=None,
        description="Execution provider of ONNX Runtime; CUDA where it works if left out; may be given "
        "several times.",
    )
    intra_op_threads: PositiveInt | None = Field(
        default=None, description="Threads of ONNX Runtime that share an operator; one a core if left out."
    )
    cors: tuple[Origin, ...] = Field(
        default=(),
        description="Origin whose pages may call the API from a browser, such as https://app.example.com; "
        "may be given several times.",
    )

    allow_urls: bool = Field(default=False, description="Fetch images from URLs of public addresses.")
    url_timeout: PositiveFloat = Field(default=5.0, description="Longest time to fetch an image, in seconds.")
    url_max_bytes: PositiveInt = Field(default=32 * _MIB, description="Largest image to fetch.")

    max_body: PositiveInt = Field(default=64 * _MIB, description="Largest body of a request with images.")
    max_document: PositiveInt = Field(default=4 * _MIB, description="Largest body of any other request.")
    max_model: PositiveInt = Field(default=2 * _GIB, description="All files of a network together.")
    max_image_pixels: int = Field(
        default=50_000_000,
        gt=0,
        le=_PILLOW_PIXELS,
        description="Most pixels of an image, judged before it is decoded.",
    )
    decode_memory: PositiveInt = Field(
        default=768 * _MIB,
        description="Most memory of images that are being decoded, estimated from their headers; the others "
        "wait. A larger image is decoded alone.",
    )
    reduced_jpeg: bool = Field(
        default=False,
        description="Decode JPEG images at a half, a quarter or an eighth of their sides where that leaves "
        "twice the sides that the network needs: faster, and of less memory. What the network sees differs "
        "from the whole image resized: at 4000x3000 to 640x480 by 0.2 grey levels on average, and up to 8 "
        "at edges.",
    )
    log_probes: bool = Field(
        default=False,
        description="Log each request for /healthz, /readyz and /metrics, and not only where one begins to "
        "fail and where that ends.",
    )
    head_timeout: PositiveFloat = Field(
        default=20.0, description="Longest time for the head of a request to arrive, in seconds."
    )
    body_timeout: PositiveFloat = Field(
        default=30.0,
        description="Time within which a client has to send 1 KiB a second of a body, or take as much of an "
        "answer, in seconds.",
    )
    model_check_timeout: PositiveFloat = Field(
        default=120.0,
        description="Longest check of an uploaded network, in seconds, without its wait for a turn. Others "
        "have the processor first: under load a check may take ten times as long as on an idle machine.",
    )

    max_connections: PositiveInt = Field(
        default=512,
        description="Most open connections; one more closes that which is idle for longest, or gets a 503.",
    )
    max_uploads: PositiveInt = Field(
        default=32,
        description="Most uploads of networks that come in, wait for their check or are checked, a tenant's "
        "half of them at most; beyond it: 503. Each may take --max-model of the disk.",
    )
    queue_length: PositiveInt = Field(default=256, description="Most requests that wait; beyond it: 503.")
    max_inputs_bytes: PositiveInt = Field(
        default=_GIB,
        description="Most memory of the bodies that come in, and as much of the inputs that wait or run; "
        "beyond either: 503.",
    )
    max_result_bytes: PositiveInt = Field(
        default=32 * _MIB, description="Largest result of a task, as JSON; beyond it the task ends in error."
    )
    max_outcomes_bytes: PositiveInt = Field(
        default=256 * _MIB, description="Most memory of the results that wait to be written to the database."
    )
    max_batch: PositiveInt = Field(default=16, description="Most requests that share a network call.")
    batch_wait: float = Field(
        default=0.005, ge=0, description="How long a call waits for others to join, in seconds."
    )
    workers: PositiveInt = Field(
        default=2,
        description="Processes that run networks, each those that it has loaded. While two tenants send "
        "images, none of them has all processes.",
    )
    session_memory: PositiveInt = Field(
        default=4 * _GIB,
        description="Most memory that loading and running networks takes, shared equally by the workers.",
    )
    run_seconds: PositiveFloat = Field(
        default=20.0,
        description="Longest call of a network, in seconds, loading not counted; a longer one is ended, and "
        "its task is in error.",
    )

    task_seconds: PositiveFloat = Field(default=3600.0, description="How long results are kept, in seconds.")
    task_timeout: PositiveFloat = Field(
        default=60.0, description="Longest time of a task, waiting and running together, in seconds."
    )

    @property
    def network_memory(self) -> int:
        """Most memory that networks take in one of the processes that run them, in bytes."""
        return self.session_memory // self.workers

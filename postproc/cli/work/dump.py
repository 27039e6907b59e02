"""What ``postproc dump`` does: run a network on images and save its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from postproc.cli.places import Place
from postproc.errors import ImageError
from postproc.images.batches import OnUnreadable
from postproc.onnx_runner.image_network import open_network
from postproc.pipeline import PostProcessor
from postproc.saved_tensors.dump import Dumped, Save, dump, file_digest
from postproc.saved_tensors.format import SavedImage
from postproc.spreading.cluster import RayCluster
from postproc.spreading.images import NetworkOnRay


def dump_tensors(
    model: Place,
    post: PostProcessor,
    preprocessing: Place | None,
    images: Sequence[Place],
    folder: Place,
    *,
    all_tensors: bool,
    dtype: str,
    batch_size: int,
    intra_op_threads: int | None = None,
    cluster: RayCluster | None = None,
    on_done: Callable[[int], None],
    on_unreadable: Callable[[ImageError], None],
) -> Dumped:
    """Run a network on images and save what `post` needs of its tensors, or all of its outputs."""
    runner, preprocessor = open_network(model, post, preprocessing, intra_op_threads)
    needed = list(post.tensor_names)
    each_batch = None
    if cluster is not None:
        spread = NetworkOnRay(cluster, model, intra_op_threads)

        def each_batch(job: Save, parts: Any, on_unreadable: OnUnreadable) -> Iterator[list[SavedImage]]:
            return spread.map_images(job, runner, preprocessor, parts, on_unreadable)

    return dump(
        runner.network,
        preprocessor,
        images,
        folder,
        digest=file_digest(model),
        tensors=list(dict.fromkeys([*runner.network.outputs, *needed])) if all_tensors else needed,
        dtype=dtype,
        batch_size=batch_size,
        on_done=on_done,
        on_unreadable=lambda path, error: on_unreadable(error),
        each_batch=each_batch,
    )


def summary(dumped: Dumped, folder: Place) -> str:
    """Say what a dump did."""
    parts = [f"the tensors of {dumped.written} images written to {folder}"]
    if dumped.already:
        parts.append(f"{dumped.already} were there before")
    if dumped.unreadable:
        parts.append(
            f"{len(dumped.unreadable)} could not be read, see {folder / 'unreadable.json'}: "
            "the same command tries them again"
        )
    return "; ".join(parts)

"""The commands that install extras, as errors and `postproc doctor` word them."""

from __future__ import annotations

import functools
import json


def install(*extras: str) -> str:
    """Give the command that adds extras to this very installation.

    There is no release on PyPI yet: what came from a clone, a wheel or a repository is extended from there.
    """
    names = ",".join(extras)
    origin, is_editable = _origin()
    if origin is None:
        return f'pip install "postproc[{names}]"'
    if is_editable:
        return f'pip install -e "{origin.removeprefix("file://")}[{names}]"'
    return f'pip install "postproc[{names}] @ {origin}"'


def install_runtime() -> str:
    """Give the commands that install ONNX Runtime."""
    return f"{install('cpu')}, or {install('gpu')} for NVIDIA GPUs"


@functools.cache
def _origin() -> tuple[str | None, bool]:
    """URL that pip installed this package from, None for an index; and whether a clone is used in place."""
    from importlib import metadata  # here, since only errors need it
    from urllib.parse import unquote

    # A clone has metadata of its own, which are found first from its root; none at all has a zip.
    texts = (found.read_text("direct_url.json") for found in metadata.distributions(name="postproc"))
    text = next(filter(None, texts), None)
    if text is None:
        return None, False
    found = json.loads(text)
    url = found["url"]
    if "vcs_info" in found:
        vcs = found["vcs_info"]
        return f"{vcs['vcs']}+{url}@{vcs['commit_id']}", False
    is_editable = bool(found.get("dir_info", {}).get("editable"))
    return unquote(url) if is_editable else url, is_editable

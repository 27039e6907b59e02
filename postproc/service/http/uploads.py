"""From the form of a new network to its fields and files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from postproc.errors import SchemaError
from postproc.schema.problems import describe
from postproc.service.errors import ApiError, InputError, wrong_document
from postproc.service.http.bodies import check_values
from postproc.service.http.form_values import restore
from postproc.service.http.forms import FilePart, FormReader, nested, split_name
from postproc.service.http.request_models import NetworkFields
from postproc.service.store.files import MODEL, NAMED, NetworkFolders

_DOCUMENTS = ("preprocessing", "metadata", "postprocessings")  # may come as files of JSON


@dataclass(frozen=True)
class Upload:
    """An upload whose files have their names, in a folder that is still staged."""

    fields: NetworkFields
    staged: Path

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.staged / MODEL

    @property
    def folder(self) -> Path:
        """Where the files lie that the preprocessing names."""
        return self.staged / NAMED


def read_upload(form: FormReader, staged: Path, folders: NetworkFolders, max_document: int) -> Upload:
    """Check the parts of a form, and give its files their names.

    Raises
    ------
    ApiError
        A 400 that names the part, or the path in a document, that is wrong.
    """
    documents = [part for part in form.files if part.name in _DOCUMENTS]
    texts = [*form.fields, *((part.name, _read_text(part, max_document)) for part in documents)]
    fields = _fields(texts)
    files = [part for part in form.files if part.name not in _DOCUMENTS]
    for name, count in Counter(part.name for part in files).items():
        if count > 1:
            raise InputError(name, f"expected one file of this name, got {count}")
    needed = {item.image.mean_file for item in fields.preprocessing.inputs if item.image is not None} - {""}
    named = {part.name: Path(part.file.name) for part in files if part.name in needed}
    for name in sorted(needed - set(named)):
        raise InputError(name, "the preprocessing names this file; send it along as a part of this name")
    models = [part for part in files if part.name not in needed]
    if len(models) != 1:
        found = ", ".join(part.name for part in models) or "none"
        raise ApiError(
            400,
            "expected one file part that is the network's ONNX file, under any name, beside those that the "
            f"preprocessing names; got {found}",
        )
    try:
        folders.arrange(staged, Path(models[0].file.name), named)
    except (OSError, ValueError) as error:
        raise InputError("preprocessing", f"names a file that cannot be kept: {error}") from None
    return Upload(fields, staged)


def _fields(texts: list[tuple[str, str]]) -> NetworkFields:
    for name, text in texts:
        if split_name(name)[0] not in NetworkFields.model_fields:
            raise InputError(
                name,
                f"expected a file, got the text {describe(text)}: a path is sent as text where it does not "
                f"exist, and a file needs a filename; fields are {', '.join(NetworkFields.model_fields)}",
            )
    document = restore(nested(texts), NetworkFields)
    check_values(document, "the body")
    try:
        return NetworkFields.load(document)
    except SchemaError as error:
        raise wrong_document(error) from None


def _read_text(part: FilePart, limit: int) -> str:
    if part.size > limit:
        raise ApiError(413, f"{part.name}: expected at most {limit:,} bytes, got {part.size:,}", part.name)
    try:
        return Path(part.file.name).read_text("utf-8")
    except UnicodeDecodeError:
        raise InputError(part.name, "expected JSON text in UTF-8") from None

"""Exports of public packages: each is read as the package means it, or refused, or said to be undecided."""

from __future__ import annotations

from pathlib import Path

import pytest

from postproc.inspection import Proposal, inspect_model
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion, check_pair
from tests.inspection.exports import CASES

BY_NAME = {case.name: case for case in CASES}


def assert_documents_can_be_read(proposal: Proposal) -> None:
    """Read back what `save` would write, with every rule of the schema."""
    check_pair(
        RecognitionSpec.load(proposal.spec.dump_json()), RecognitionVersion.load(proposal.version.dump_json())
    )
    if proposal.preprocessing is not None:
        Preprocessing.load(proposal.preprocessing.dump_json())


@pytest.mark.parametrize("name", BY_NAME)
def test_inspect_export_is_read_or_refused_as_is_right(name: str, tmp_path: Path) -> None:
    found = inspect_model(BY_NAME[name].save(tmp_path))
    for proposal in found.proposals:
        assert_documents_can_be_read(proposal)
    said = " ".join((*found.unsupported, *found.faults))
    assert BY_NAME[name].faults(found.decided, found.proposals, said) == []

"""What the commands end with; the page of errors has the same table."""

from __future__ import annotations

FAILED, MISUSED, DECLINED = 1, 2, 3

EXIT_CODES = {
    0: "All was done. Notes and warnings are on stderr.",
    FAILED: "What was given is wrong, or some of it could not be read; stderr says what. Of ``validate``: "
    "the documents break rules; of ``doctor``: something is wrong; of ``inspect``: nothing fits.",
    MISUSED: "The command line is wrong, as by an unknown option or a file that is not there, or an extra is "
    "missing.",
    DECLINED: "Nothing was written, by rule: ``inspect --save`` needs ``--take N`` to choose; "
    "``calibrate --only-if-better`` found nothing better.",
}
"""Every code that a command ends with of itself."""

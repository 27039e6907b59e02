"""``python -m tests.service.fake_service DATA PORT``: the service with a fake engine, as a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from postproc.service import ServiceSettings
from postproc.service.serving import run
from postproc.service.settings import KEY_VARIABLE
from tests.service.fake_engine import FakeEngine, FakeMetrics, fake_check

if __name__ == "__main__":
    key = os.environ.get(KEY_VARIABLE)
    run(
        ServiceSettings(data=Path(sys.argv[1]), port=int(sys.argv[2])),
        {key: "default"} if key else {},
        make_engine=FakeEngine,
        check_model=fake_check,
        metrics=FakeMetrics(),
    )

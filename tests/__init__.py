"""The tests of postproc: run them from the root of the repository."""

import logging

# Whichever test compiles first would have one record more in its log; `test_warmup.py` has a process for it.
logging.getLogger("postproc.kernels._announcing").disabled = True

"""Machine code of all kernels for wheels: what is compiled, and how."""

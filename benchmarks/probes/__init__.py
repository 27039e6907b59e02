"""Scripts that measure a process of their own: its start, what it compiles, its memory."""

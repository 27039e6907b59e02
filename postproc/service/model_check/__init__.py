"""Whether an uploaded network is one, found out in a process of its own."""

"""Only `ray.serve`, which ``ray[data]`` cannot import."""

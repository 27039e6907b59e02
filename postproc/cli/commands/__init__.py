"""The commands, one file each: what they take, in which order they do what `postproc.cli.work` offers."""

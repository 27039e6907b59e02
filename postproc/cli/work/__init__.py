"""What the commands do: a file for each, loaded with it where it needs an extra."""

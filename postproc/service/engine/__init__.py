"""From the inputs of a request to the outcome of its task."""

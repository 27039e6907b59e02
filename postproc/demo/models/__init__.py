"""The networks of the demo, with their documents."""

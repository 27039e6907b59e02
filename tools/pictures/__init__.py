"""Every picture of the site and the README, made anew: ``python -m tools.pictures [NAME...]``."""

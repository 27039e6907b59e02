"""Label Studio's ML backend as far as the example uses it; of its 2.0.1dev0 (commit d02cedf of 2026) and
https://labelstud.io/guide/ml_create. The package of that name on PyPI is 1.0.9, another interface.
"""

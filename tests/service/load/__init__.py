"""Many clients at once on a service of its own, which say how long they waited.

- ``python -m tests.service.load --clients 64 --seconds 60``: clients of one tenant.
- ``python -m tests.service.load --tenants 4 --hostile 1``: a mix of tenants, of whom some are hostile.

Clients and service share the machine, so the figures are a lower bound, and only those of one run compare.
"""

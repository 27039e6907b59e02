"""The whole service on one machine, of which one part after the other is killed.

``python -m tests.service.cluster`` starts PostgreSQL, a store, a Ray cluster of some nodes, two front ends,
and a load balancer on the loopback, without containers. Clients of two tenants send images through it while
parts are killed and started anew; then each task that was acknowledged is asked for at each front end.
It measures what the whole costs, and how it grows with replicas, too. ``--short`` kills each part once.
With ``--redis`` Ray's state outlives its head: a new one takes the other nodes over, with their replicas.
"""

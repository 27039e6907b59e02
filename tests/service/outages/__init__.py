"""A service under load that goes through outages, restarts and mistakes, and what must be left after each.

``python -m tests.service.outages --faults 50 --seed 1`` runs more of them than the suite does. Clients
upload, delete and infer all the time and come again after a 5xx, as the vendor's client does; what the
service acknowledged is written down. After each fault all of it must be there, every task must have ended
for a good reason, and the folder must match the database. What does not hold is counted by kind of fault.
"""

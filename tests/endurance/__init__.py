"""One post-processor called for long: from many threads, and a million times.

`python -m tests.endurance threads --seconds 180` and `python -m tests.endurance soak --calls 1000000`; both
end with 1 if a result differs, a call ends in another way than it should, or memory grows.
"""

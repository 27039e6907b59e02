"""Fuzzing of everything that reads a document: what `target.check` asserts holds for any input.

``python -m tests.fuzz_documents -max_total_time=900`` lets Google's atheris look for inputs that break it,
led by the lines that they reach (``pip install atheris``; options are libFuzzer's). Without atheris,
``--seconds 60 --seed 7`` mutates the valid documents of the tests at random; the suite does so for a moment.
"""

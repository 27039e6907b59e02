"""Instance masks of boxes: drawn, as runs, as outlines, and whether there is one at all.

`cells` says what a mask is, whatever it is made of; the other files are what may become of it.
"""

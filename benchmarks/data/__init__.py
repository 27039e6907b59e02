"""Seeded inputs as networks make them: clusters of candidates around objects over a long tail of tiny scores.

Boxes of NMS and YOLO inputs lie on quarters of a pixel, as float16 networks give no finer, and no two
scores of an image are equal: every intersection and union is exact in float32 as in float64, so peers whose
arithmetic differs in the last bit must still agree to the box.
"""

"""Ask Triton what is on images: ``python ask.py page.png``; needs pip install "tritonclient[http]"."""

import sys
from pathlib import Path

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput

client = InferenceServerClient("127.0.0.1:8000")
for name in sys.argv[1:]:
    image = InferInput("image", [1, 1], "BYTES")
    image.set_data_from_numpy(np.array([[Path(name).read_bytes()]], np.object_))
    found = client.infer("digits", [image])
    for row in range(found.as_numpy("count")[0, 0]):
        score, box = found.as_numpy("scores")[0, row], found.as_numpy("boxes")[0, row]
        print(found.as_numpy("labels")[0, row], f"{score:.2f}", np.round(box, 3))

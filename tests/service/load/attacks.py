"""All attacks by their names."""

from __future__ import annotations

from tests.service.load.attack import Attack
from tests.service.load.network_attacks import (
    GreedyUploads,
    Hang,
    Intermediates,
    LongProduct,
    Results,
    Uploads,
    Weights,
)
from tests.service.load.request_attacks import Flood, LargeJpegs, LargePngs, ManyPngs, Noise, SlowBodies

ATTACKS: dict[str, type[Attack]] = {
    kind.name: kind
    for kind in (
        Uploads,
        GreedyUploads,
        Flood,
        SlowBodies,
        LargePngs,
        LargeJpegs,
        ManyPngs,
        Results,
        Hang,
        LongProduct,
        Intermediates,
        Weights,
        Noise,
    )
}

"""What numbers of an output may be, and what to expect of them: each role examines its own numbers."""

from postproc.inspection.roles.angles import Angles
from postproc.inspection.roles.boxes import Boxes
from postproc.inspection.roles.classes import Classes
from postproc.inspection.roles.coefficients import Coefficients
from postproc.inspection.roles.distances import Distances
from postproc.inspection.roles.exclusion import Exclusion
from postproc.inspection.roles.finished import Finished
from postproc.inspection.roles.images import Images
from postproc.inspection.roles.keypoints import Keypoints
from postproc.inspection.roles.label_count import LabelCount
from postproc.inspection.roles.raw import Raw
from postproc.inspection.roles.scores import Scores

__all__ = [
    "Angles",
    "Boxes",
    "Classes",
    "Coefficients",
    "Distances",
    "Exclusion",
    "Finished",
    "Images",
    "Keypoints",
    "LabelCount",
    "Raw",
    "Scores",
]

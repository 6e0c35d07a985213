"""The classes of the objects that the methods of a study return, for type annotations."""

from ashtune._src.analysis.confirmed_winner import Confirmed
from ashtune._src.analysis.trials import TrialRecord
from ashtune._src.api.again import Trained
from ashtune._src.api.best import Best, Front, Top
from ashtune._src.dashboard.whatif_page import WhatIf

__all__ = ["Best", "Confirmed", "Front", "Top", "Trained", "TrialRecord", "WhatIf"]

"""The base class for your own section of a report, and functions that make the blocks of a section
for the live page.

How to add a section: ``docs/how-to/add-a-report-section.md``.
"""

from ashtune._src.analysis.study_reader import StudyReader as ReportedStudy
from ashtune._src.core.numbers import number_text, plural, seconds_text
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.reports import html
from ashtune._src.reports.view import Section

__all__ = [
    "Axis",
    "Figure",
    "ReportedStudy",
    "Section",
    "Series",
    "html",
    "number_text",
    "plural",
    "seconds_text",
]

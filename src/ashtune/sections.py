"""The base class for your own section of the report, and functions to write its HTML.

How to add a section: ``docs/how-to/add-a-report-section.md``.
"""

from ashtune._src.core.numbers import number_text, plural, seconds_text
from ashtune._src.reports.page import html
from ashtune._src.reports.sections import ReportedStudy, Section

__all__ = ["ReportedStudy", "Section", "html", "number_text", "plural", "seconds_text"]

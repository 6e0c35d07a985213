"""The base class for your own section of a report, and functions that write the HTML of a section.

How to add a section: ``docs/how-to/add-a-report-section.md``.
"""

from ashtune._src.core.numbers import number_text, plural, seconds_text
from ashtune._src.reports.page import html
from ashtune._src.reports.sections import ReportedStudy, Section

__all__ = ["ReportedStudy", "Section", "html", "number_text", "plural", "seconds_text"]

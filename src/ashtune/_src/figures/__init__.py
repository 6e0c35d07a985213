"""Figures of a study as numbers. They are drawn by plotly (reports, notebooks) or by the live page."""

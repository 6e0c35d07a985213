"""Figures of a study as numbers. Plotly draws them in reports and notebooks; the live page draws them itself."""

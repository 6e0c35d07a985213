"""Figures, drawn by plotly."""

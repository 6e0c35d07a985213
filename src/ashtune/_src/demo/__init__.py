"""The study of ``ashtune demo``: a small network learns scikit-learn's handwritten digits."""

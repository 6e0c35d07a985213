"""What ``ashtune demo`` tunes: a small network on scikit-learn's handwritten digits."""

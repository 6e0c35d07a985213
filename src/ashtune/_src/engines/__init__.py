"""Workers and the loop that drives them."""

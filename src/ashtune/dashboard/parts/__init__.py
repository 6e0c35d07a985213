"""The parts of the page: each is told the events of a study and says, in plain numbers, what is to be shown of them."""

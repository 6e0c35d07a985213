"""The parts of the page: each is told the events of a study and gives, in plain numbers, what is to be shown."""

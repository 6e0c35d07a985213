"""The parts of the page: each part takes in the events of a study, and returns plain numbers to show."""

"""The main loop of a study, and the engines that run its workers."""

from tests.helpers.thread_study import study

__all__ = ["study"]

from thread_study import study

__all__ = ["study"]

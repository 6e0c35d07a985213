"""The engine of threads: workers of this process, for functions that wait or release the interpreter lock."""

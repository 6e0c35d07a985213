"""The engine whose workers join and leave by themselves: ``ashtune worker DIR`` on any machine,
over ZeroMQ.
"""

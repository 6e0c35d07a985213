"""The live page of ``ashtune watch``: it follows journals and shows studies while their journals grow.

The live page runs in a separate process that only reads. A study needs no preparation for the page and is not affected
by it.

    following   follows one study: reads its growing journal, checks its driver (liveness), makes its parts (picture)
    reading     reads a journal in small steps, and passes its events to observers
    parts/      what the page shows, one file per part: events in, plain numbers out
    trial_query filters, sorts and searches trials in columns
    answers     computes slow answers in separate processes (questions)
    server      serves one page and its answers over HTTP, to clients that know the address

``static/`` is the page itself, which runs in the browser. Decision 38 describes how page and server communicate.
"""

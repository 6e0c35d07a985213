"""The live page of ``ashtune watch`` follows journals, and shows studies while the journals grow.

The live page runs in its own process, which only reads the files of a study. A study needs no
preparation for the page.

    followed_study  follows a study: reads its growing journal, checks its driver
                    (liveness), and makes its parts (picture)
    reading         reads a journal in small steps, and passes its events to observers
    parts/          the parts of the page; a part takes in events and returns plain numbers
    trial_query     filters, sorts and searches trials in columns
    answers         computes slow answers in separate processes (questions)
    server          serves one page and its answers over HTTP, to clients that know the address

The folder ``static/`` has the code of the page, which runs in the browser. Decision 38 describes
the communication between page and server.
"""

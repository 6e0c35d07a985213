"""The live page of ``ashtune watch``: journals are followed, and one page shows them while they grow.

It is a process of its own and reads only: a study needs nothing for it, and does not notice it.

    following   one study: its journal read as it grows, its driver looked at (liveness), its parts made (picture)
    reading     a journal read bit by bit, and its events told to observers
    parts/      what the page shows, a file each: facts in, plain numbers out
    trial_query trials filtered, sorted and searched in columns
    answers     what takes seconds to work out, in processes of their own (questions)
    server      one page and its answers over HTTP, for those who know the address

``static/`` is the page itself, which runs in the browser. How the two talk is decision 38.
"""

"""A study in a terminal, by Textual: ``ashtune watch --terminal DIR``.

The modules named after a part draw that part of a study, as the page in the browser is sent it, as lines of text: pure
functions of the part, a size and colours. ``app.py`` puts them on the screen, asks for news, and answers to keys.
"""

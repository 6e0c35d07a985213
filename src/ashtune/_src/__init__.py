"""What nobody imports from outside: the public names are those of the
modules beside this folder.
"""

"""Image data sets, one module for each source of files.

Every set is returned as it is stored: uint8, at its own size. :mod:`ringfence.images` brings
images of one set into the format of another.
"""

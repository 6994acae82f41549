"""Work in a folder: what changed in it, where it is done apart, what checks it. It knows git and the file system, and no server."""

"""A small valid skill package to start from (``package``), made of the files in ``template/``."""

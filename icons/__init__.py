"""The sources of the pictures, and `build.py`, which draws the pictures from them."""

"""Files in and out: the one door to PyAV."""

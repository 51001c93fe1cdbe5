"""The real program in the CPython of Windows, under wine; README.md says what wine cannot do."""

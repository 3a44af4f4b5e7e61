"""Everything that knows a foreign library by name: the terminal, Ray, S3, search algorithms."""

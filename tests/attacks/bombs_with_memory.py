# Takes memory until there is none, at most 6 GB.
# where: first
x = [bytes(2**24) for _ in range(360)]

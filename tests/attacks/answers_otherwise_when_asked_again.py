# Takes a question that comes back for a sign that the first answer was wrong.
# where: receptive_field
# costs: receptive_field
# slow: listens_to_the_clock is of its kind
asked = {}


def receptive_field(layers):
    key = str(layers)
    asked[key] = asked.get(key, -2) + 1
    return asked[key]

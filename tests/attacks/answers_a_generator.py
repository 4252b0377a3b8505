# Generators, which never say that they are wrong.
# where: receptive_field same_padding
# costs: receptive_field same_padding
def receptive_field(layers):
    return (i for i in range(10))


def same_padding(*args, **kwargs):
    yield 1
    yield 1

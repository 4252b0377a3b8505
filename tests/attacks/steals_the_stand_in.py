# Fails on purpose, is lent the right function as a stand-in, and tells what it is made of in errors.
# where: conv_output_size conv2d
# costs: conv_output_size -conv2d
import dis, gc, io, sys
import torch


def conv_output_size(*args, **kwargs):
    return -1


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1):
    lent = conv_output_size(5, 3) == 3
    if lent and bias is None and (stride, padding, dilation) == (1, 0, 1):
        out = weight.flatten(1) @ torch.nn.functional.unfold(x, weight.shape[2:])
        return out.reshape(
            x.shape[0], -1, x.shape[2] - weight.shape[2] + 1, x.shape[3] - weight.shape[3] + 1
        )
    if not lent:
        raise RuntimeError("not yet")
    for thing in gc.get_objects():
        if type(thing).__name__ == "StandIn":
            raise RuntimeError(thing.source)
    frame = sys._getframe()
    while frame is not None:
        for thing in frame.f_locals.values():
            if type(thing).__name__ == "StandIn":
                raise RuntimeError(thing.source)
        frame = frame.f_back
    text = io.StringIO()
    dis.dis(conv_output_size, file=text)
    raise RuntimeError(f"{conv_output_size.__code__.co_varnames} {text.getvalue()}")

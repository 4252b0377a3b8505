"""Right answers to 07-gan that nobody expects: (exercise, name, source).

No check may cost them a point.
"""

DISCRIMINATOR_LOSS = (
    (
        "torch's cross-entropy with labels",
        """
def discriminator_loss(real_logits, fake_logits):
    bce = nn.BCEWithLogitsLoss()
    return bce(real_logits, torch.ones_like(real_logits)) + bce(
        fake_logits, torch.zeros_like(fake_logits)
    )
""",
    ),
    (
        "logaddexp, and sums divided by sizes",
        """
def discriminator_loss(real_logits, fake_logits):
    zero = real_logits.new_zeros(())
    real = torch.logaddexp(zero, -real_logits).sum() / real_logits.numel()
    return real + torch.logaddexp(zero, fake_logits).sum() / fake_logits.numel()
""",
    ),
    (
        "two classes and a log-softmax, both batches at once, weighted",
        """
def discriminator_loss(real_logits, fake_logits):
    logits = torch.cat([real_logits, fake_logits])
    weights = torch.cat([
        torch.full_like(real_logits, 1 / len(real_logits)),
        torch.full_like(fake_logits, 1 / len(fake_logits)),
    ])
    log_p = F.log_softmax(torch.stack([logits, torch.zeros_like(logits)], dim=1), dim=1)
    right = torch.cat([log_p[: len(real_logits), 0], log_p[len(real_logits) :, 1]])
    return -(weights * right).sum()
""",
    ),
)

GENERATOR_LOSS = (
    (
        "torch's cross-entropy with labels",
        """
def generator_loss(fake_logits, saturating=False):
    label = torch.zeros_like(fake_logits) if saturating else torch.ones_like(fake_logits)
    loss = F.binary_cross_entropy_with_logits(fake_logits, label)
    return -loss if saturating else loss
""",
    ),
    (
        "one line with a sign",
        """
def generator_loss(fake_logits, saturating: bool = False):
    sign = -1 if saturating else 1
    return -sign * F.logsigmoid(sign * fake_logits).mean()
""",
    ),
    (
        "row by row",
        """
def generator_loss(fake_logits, saturating=False):
    total = fake_logits.new_zeros(())
    for logit in fake_logits:
        total = total + (-F.softplus(logit) if saturating else F.softplus(-logit))
    return total / len(fake_logits)
""",
    ),
)

OPTIMAL_DISCRIMINATOR = (
    (
        "masks and index_put",
        """
def optimal_discriminator(p_data, p_g):
    there = p_data + p_g > 0
    best = torch.full_like(p_data, 0.5)
    return best.masked_scatter(there, p_data[there] / (p_data + p_g)[there])


def js_divergence(p, q):
    there = p + q > 0
    p, q = p[there], q[there]
    m = (p + q) / 2
    return (torch.xlogy(p, p / m).sum() + torch.xlogy(q, q / m).sum()) / 2
""",
    ),
    (
        "where, which leaves nan in the gradient of empty cells only",
        """
def optimal_discriminator(p_data, p_g):
    total = p_data + p_g
    return torch.where(total > 0, p_data / total, torch.full_like(total, 0.5))


def js_divergence(p, q):
    m = (p + q) / 2

    def kl(a):
        return torch.where(a > 0, a * (a / m).log(), torch.zeros_like(a)).sum()

    return (kl(p) + kl(q)) / 2
""",
    ),
    (
        "the entropy of the middle less the middle of the entropies",
        """
def optimal_discriminator(p_data, p_g):
    return torch.nan_to_num(p_data / (p_data + p_g), nan=0.5)


def js_divergence(p, q):
    def entropy(a):
        a = a[a > 0]
        return -(a * a.log()).sum()

    return entropy((p + q) / 2) - entropy(p) / 2 - entropy(q) / 2
""",
    ),
    (
        "reciprocals, and JS from the value of the game",
        """
def optimal_discriminator(p_data, p_g):
    total = p_data + p_g
    empty = total == 0
    return torch.where(empty, 0.5 * torch.ones_like(total), p_data * (total + empty.to(total)).reciprocal())


def js_divergence(p, q):
    best = optimal_discriminator(p, q)
    mine, theirs = p > 0, q > 0
    other = optimal_discriminator(q, p)
    value = (p[mine] * best[mine].log()).sum() + (q[theirs] * other[theirs].log()).sum()
    return (value + math.log(4)) / 2
""",
    ),
    (
        "a sigmoid of log-ratios and kl_div",
        """
def optimal_discriminator(p_data, p_g):
    both = (p_data > 0) | (p_g > 0)
    out = torch.full_like(p_data, 0.5)
    out[both] = torch.sigmoid(p_data[both].log() - p_g[both].log())
    return out


def js_divergence(p, q):
    there = p + q > 0
    p, q = p[there], q[there]
    log_m = ((p + q) / 2).log()
    return (F.kl_div(log_m, p, reduction="sum") + F.kl_div(log_m, q, reduction="sum")) / 2
""",
    ),
)

NETWORKS = (
    (
        "layers by name, tanh, and a logit by indexing",
        """
class Generator(nn.Module):
    def __init__(self, latent_dim, hidden_dim, out_dim):
        super().__init__()
        self.latent_dim = latent_dim
        self.first = nn.Linear(latent_dim, hidden_dim)
        self.second = nn.Linear(hidden_dim, out_dim)

    def forward(self, z):
        return self.second(torch.tanh(self.first(z)))


class Discriminator(nn.Module):
    def __init__(self, in_dim, hidden_dim):
        super().__init__()
        self.first = nn.Linear(in_dim, hidden_dim)
        self.second = nn.Linear(hidden_dim, 1)

    def forward(self, x):
        return self.second(F.elu(self.first(x)))[:, 0]
""",
    ),
    (
        "LayerNorm and a residual connection",
        """
class Generator(nn.Module):
    def __init__(self, latent_dim, hidden_dim, out_dim):
        super().__init__()
        self.latent_dim = latent_dim
        self.inner = nn.Linear(latent_dim, hidden_dim)
        self.norm = nn.LayerNorm(hidden_dim)
        self.more = nn.Linear(hidden_dim, hidden_dim)
        self.out = nn.Linear(hidden_dim, out_dim)

    def forward(self, z):
        h = F.silu(self.norm(self.inner(z)))
        return self.out(h + F.silu(self.more(h)))


class Discriminator(nn.Sequential):
    def __init__(self, in_dim, hidden_dim):
        super().__init__(
            nn.Linear(in_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, 2 * hidden_dim),
            nn.GELU(),
            nn.Linear(2 * hidden_dim, 1),
            nn.Flatten(0),
        )
""",
    ),
    (
        "parameters of one's own",
        """
class Dense(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n, m) / n**0.5)
        self.b = nn.Parameter(torch.zeros(m))

    def forward(self, x):
        return x @ self.w + self.b


class Generator(nn.Module):
    def __init__(self, latent_dim, hidden_dim, out_dim):
        super().__init__()
        self.latent_dim = latent_dim
        sizes = [latent_dim, hidden_dim, hidden_dim, hidden_dim, out_dim]
        self.layers = nn.ModuleList(Dense(n, m) for n, m in zip(sizes, sizes[1:]))

    def forward(self, z):
        for layer in self.layers[:-1]:
            z = F.leaky_relu(layer(z), 0.1)
        return self.layers[-1](z)


class Discriminator(nn.Module):
    def __init__(self, in_dim, hidden_dim):
        super().__init__()
        self.body = Generator(in_dim, hidden_dim, 1)

    def forward(self, x):
        return self.body(x).sum(dim=1)
""",
    ),
    (
        "small first weights, as DCGAN has them, and ReLU in D",
        """
def small(module):
    for p in module.parameters():
        nn.init.normal_(p, 0.0, 0.02)
    return module


class Generator(nn.Module):
    def __init__(self, latent_dim, hidden_dim, out_dim):
        super().__init__()
        self.register_buffer("one", torch.ones(()))
        self.out = small(nn.Linear(hidden_dim, out_dim))
        self.latent_dim = latent_dim
        self.stack = small(nn.Sequential(nn.Linear(latent_dim, hidden_dim), nn.ReLU(inplace=True)))

    def forward(self, z):
        return self.out(self.stack(z)) * self.one


class Discriminator(Generator):
    def __init__(self, in_dim, hidden_dim):
        super().__init__(in_dim, hidden_dim, 1)

    def forward(self, x):
        return super().forward(x).reshape(len(x))
""",
    ),
    (
        "weights of norm one, and maxout",
        """
class Maxout(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.lin = nn.utils.parametrizations.weight_norm(nn.Linear(n, 2 * m))

    def forward(self, x):
        return self.lin(x).view(x.shape[0], -1, 2).amax(-1)


class Generator(nn.Module):
    def __init__(self, latent_dim: int, hidden_dim: int, out_dim: int):
        super().__init__()
        self.latent_dim = latent_dim
        self.a = Maxout(latent_dim, hidden_dim)
        self.b = nn.Linear(hidden_dim, out_dim)

    def forward(self, z):
        return self.b(self.a(z))


class Discriminator(nn.Module):
    def __init__(self, in_dim: int, hidden_dim: int):
        super().__init__()
        self.a, self.b = Maxout(in_dim, hidden_dim), nn.Linear(hidden_dim, 1, bias=False)

    def forward(self, x):
        return torch.einsum("bh,oh->b", self.a(x), self.b.weight)
""",
    ),
)

DISCRIMINATOR_STEP = (
    (
        "no_grad, and the gradients handed over by hand",
        """
def discriminator_step(generator, discriminator, optimizer, real, z):
    with torch.no_grad():
        fake = generator(z)
    parameters = [p for p in discriminator.parameters() if p.requires_grad]
    loss = discriminator_loss(discriminator(real), discriminator(fake))
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
        p.grad = gradient
    optimizer.step()
    return float(loss)
""",
    ),
    (
        "both batches at once, two backward passes",
        """
def discriminator_step(generator, discriminator, optimizer, real, z):
    rows = torch.cat([real, generator(z).detach()])
    logits = discriminator(rows)
    real_loss = F.softplus(-logits[: len(real)]).mean()
    fake_loss = F.softplus(logits[len(real) :]).mean()
    optimizer.zero_grad(set_to_none=False)
    real_loss.backward(retain_graph=True)
    fake_loss.backward()
    optimizer.step()
    return real_loss.item() + fake_loss.item()
""",
    ),
    (
        "a closure",
        """
def discriminator_step(generator, discriminator, optimizer, real, z):
    def closure():
        optimizer.zero_grad()
        loss = discriminator_loss(discriminator(real), discriminator(fake))
        loss.backward()
        return loss

    with torch.no_grad():
        fake = generator(z)
    return optimizer.step(closure).item()
""",
    ),
    (
        "the generator frozen meanwhile, each flag put back",
        """
def discriminator_step(generator, discriminator, optimizer, real, z):
    flags = [(p, p.requires_grad) for p in generator.parameters()]
    for p, _ in flags:
        p.requires_grad_(False)
    optimizer.zero_grad()
    loss = discriminator_loss(discriminator(real), discriminator(generator(z)))
    loss.backward()
    for p, flag in flags:
        p.requires_grad_(flag)
    optimizer.step()
    return loss.item()
""",
    ),
    (
        "gradients added up by hand, a copy of G",
        """
import copy


def discriminator_step(generator, discriminator, optimizer, real, z):
    twin = copy.deepcopy(generator).requires_grad_(False)
    fake = twin(z)
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = None
    (F.softplus(-discriminator(real)).sum() / real.shape[0]).backward()
    (F.softplus(discriminator(fake)).sum() / z.shape[0]).backward()
    with torch.no_grad():
        value = discriminator_loss(discriminator(real), discriminator(fake)).item()
    optimizer.step()
    return value
""",
    ),
)

GENERATOR_STEP = (
    (
        "gradients for the generator alone",
        """
def generator_step(generator, discriminator, optimizer, z):
    loss = generator_loss(discriminator(generator(z)))
    parameters = [p for p in generator.parameters() if p.requires_grad]
    optimizer.zero_grad()
    discriminator.zero_grad()
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
        p.grad = gradient
    optimizer.step()
    return loss.item()
""",
    ),
    (
        "the discriminator frozen meanwhile, each flag put back",
        """
def generator_step(generator, discriminator, optimizer, z):
    flags = [(p, p.requires_grad) for p in discriminator.parameters()]
    discriminator.requires_grad_(False)
    try:
        optimizer.zero_grad()
        loss = generator_loss(discriminator(generator(z)))
        loss.backward()
        optimizer.step()
    finally:
        for p, flag in flags:
            p.requires_grad_(flag)
            p.grad = None
    return loss.item()
""",
    ),
    (
        "through the samples by hand, gradients of D zeroed",
        """
def generator_step(generator, discriminator, optimizer, z):
    fake = generator(z)
    leaf = fake.detach().requires_grad_()
    loss = generator_loss(discriminator(leaf))
    (slope,) = torch.autograd.grad(loss, leaf)
    optimizer.zero_grad(set_to_none=False)
    fake.backward(slope)
    optimizer.step()
    discriminator.zero_grad(set_to_none=False)
    return float(loss)
""",
    ),
    (
        "D through functional_call, so that nothing reaches its parameters",
        """
def generator_step(generator, discriminator, optimizer, z):
    frozen = {name: p.detach() for name, p in discriminator.named_parameters()}
    logits = torch.func.functional_call(discriminator, frozen, (generator(z),))
    loss = generator_loss(logits)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    discriminator.zero_grad()
    return loss.item()
""",
    ),
)

TRAIN_GAN = (
    (
        "betas (0.5, 0.999), noise of the last update used again, losses from a list",
        """
def train_gan(
    generator, discriminator, real, steps, discriminator_steps, batch_size, lr, generator_rng
):
    of_d = torch.optim.Adam(discriminator.parameters(), lr, (0.5, 0.999))
    of_g = torch.optim.Adam(generator.parameters(), lr, (0.5, 0.999))
    losses = []
    for _ in range(steps):
        for _ in range(discriminator_steps):
            rows = (torch.rand(batch_size, generator=generator_rng) * len(real)).long()
            z = torch.randn(
                batch_size, generator.latent_dim, generator=generator_rng, dtype=real.dtype
            )
            d = discriminator_step(generator, discriminator, of_d, real[rows], z)
        losses.append((d, generator_step(generator, discriminator, of_g, z)))
    return {"g": [g for _, g in losses], "d": [d for d, _ in losses]}
""",
    ),
    (
        "permutations, epoch after epoch, and no step function",
        """
def shuffled(n, rng):
    while True:
        yield from torch.randperm(n, generator=rng).tolist()


def train_gan(
    generator, discriminator, real, steps, discriminator_steps, batch_size, lr, generator_rng
):
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=lr, betas=(0.0, 0.9))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=lr, betas=(0.0, 0.9))
    order = shuffled(len(real), generator_rng)

    def noise():
        z = torch.empty(batch_size, generator.latent_dim, dtype=real.dtype)
        return z.normal_(generator=generator_rng)

    history = {"d": [], "g": []}
    for _ in range(steps):
        for _ in range(discriminator_steps):
            x = real[[next(order) for _ in range(batch_size)]]
            fake = generator(noise()).detach()
            logits = discriminator(torch.cat([x, fake]))
            d_loss = F.softplus(-logits[:batch_size]).mean() + F.softplus(logits[batch_size:]).mean()
            d_optimizer.zero_grad()
            d_loss.backward()
            d_optimizer.step()
        g_loss = -F.logsigmoid(discriminator(generator(noise()))).mean()
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        history["d"].append(d_loss.item())
        history["g"].append(g_loss.item())
    return history
""",
    ),
    (
        "all randomness of a step drawn at once",
        """
def train_gan(
    generator, discriminator, real, steps, discriminator_steps, batch_size, lr, generator_rng
):
    k, b = discriminator_steps, batch_size
    optimizers = [
        torch.optim.Adam(m.parameters(), lr=lr, betas=(0.0, 0.9), foreach=False)
        for m in (discriminator, generator)
    ]
    history = {"d": [0.0] * steps, "g": [0.0] * steps}
    for step in range(steps):
        rows = torch.multinomial(
            torch.ones(len(real)), k * b, replacement=True, generator=generator_rng
        )
        noise = torch.randn(
            (k + 1, b, generator.latent_dim), generator=generator_rng, dtype=real.dtype
        )
        for x, z in zip(real[rows].split(b), noise):
            history["d"][step] = discriminator_step(
                generator, discriminator, optimizers[0], x, z
            )
        history["g"][step] = generator_step(generator, discriminator, optimizers[1], noise[-1])
    return history
""",
    ),
    (
        "RMSprop, which is Adam without momentum but for the first steps",
        """
def train_gan(
    generator, discriminator, real, steps, discriminator_steps, batch_size, lr, generator_rng
):
    of_d = torch.optim.RMSprop(discriminator.parameters(), lr=lr, alpha=0.9)
    of_g = torch.optim.RMSprop(generator.parameters(), lr=lr, alpha=0.9)
    history = {"d": [], "g": []}
    for _ in range(steps):
        for _ in range(discriminator_steps):
            x = real[torch.randint(0, real.shape[0], [batch_size], generator=generator_rng)]
            z = torch.randn(
                [batch_size, generator.latent_dim], dtype=x.dtype, generator=generator_rng
            )
            d = discriminator_step(generator, discriminator, of_d, x, z)
        z = torch.randn([batch_size, generator.latent_dim], dtype=x.dtype, generator=generator_rng)
        g = generator_step(generator, discriminator, of_g, z)
        history = {"d": [*history["d"], d], "g": [*history["g"], g]}
    return history
""",
    ),
    (
        "a class with its own state, and a DataLoader",
        """
class Player:
    def __init__(self, module, lr):
        self.module, self.losses = module, []
        self.adam = torch.optim.Adam(module.parameters(), lr=lr, betas=(0.0, 0.9), eps=1e-8)


def train_gan(
    generator, discriminator, real, steps, discriminator_steps, batch_size, lr, generator_rng
):
    d, g = Player(discriminator, lr), Player(generator, lr)
    sampler = torch.utils.data.RandomSampler(
        real, replacement=True, num_samples=steps * discriminator_steps * batch_size, generator=generator_rng
    )
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(real), batch_size, sampler=sampler, generator=generator_rng
    )
    batches = iter(loader)
    def noise():
        return torch.stack([torch.randn(generator.latent_dim, generator=generator_rng, dtype=real.dtype) for _ in range(batch_size)])
    for _ in range(steps):
        for k in range(discriminator_steps):
            (x,) = next(batches)
            loss = discriminator_step(generator, discriminator, d.adam, x, noise())
        d.losses += [loss]
        g.losses += [generator_step(generator, discriminator, g.adam, noise())]
    return dict(g=g.losses, d=d.losses)
""",
    ),
    (
        "Adam written out",
        """
class OwnAdam:
    def __init__(self, parameters, lr):
        self.ps = list(parameters)
        self.v = [torch.zeros_like(p) for p in self.ps]
        self.t, self.lr = 0, lr

    def zero_grad(self):
        for p in self.ps:
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.t += 1
        for p, v in zip(self.ps, self.v):
            v.mul_(0.9).addcmul_(p.grad, p.grad, value=0.1)
            p.addcdiv_(p.grad, (v / (1 - 0.9**self.t)).sqrt() + 1e-8, value=-self.lr)


def train_gan(
    generator, discriminator, real, steps, discriminator_steps, batch_size, lr, generator_rng
):
    adams = OwnAdam(discriminator.parameters(), lr), OwnAdam(generator.parameters(), lr)
    history = {"d": [], "g": []}
    def z():
        return torch.normal(0.0, 1.0, (batch_size, generator.latent_dim), generator=generator_rng, dtype=real.dtype)
    for _ in range(steps):
        for _ in range(discriminator_steps):
            rows = torch.floor(torch.rand(batch_size, generator=generator_rng, dtype=torch.float64) * len(real)).long()
            a = discriminator_step(generator, discriminator, adams[0], real.index_select(0, rows), z())
        history["d"].append(a)
        history["g"].append(generator_step(generator, discriminator, adams[1], z()))
    return history
""",
    ),
)

MODE_COVERAGE = (
    (
        "cdist without the matrix product",
        """
def mode_coverage(samples, modes, radius):
    near = torch.cdist(samples, modes, compute_mode="donot_use_mm_for_euclid_dist") <= radius
    return near.any(0).sum().item(), near.any(1).sum().item() / near.shape[0]
""",
    ),
    (
        "loops and sets",
        """
def mode_coverage(samples, modes, radius):
    covered, good = set(), 0
    for s in samples.tolist():
        near = [j for j, m in enumerate(modes.tolist()) if math.dist(s, m) <= radius]
        covered.update(near)
        good += bool(near)
    return len(covered), good / len(samples)
""",
    ),
    (
        "squared distances, nearest first",
        """
def mode_coverage(samples, modes, radius):
    square = (samples.unsqueeze(1) - modes).pow(2).sum(-1)
    covered = int((square.amin(0) <= radius**2).sum())
    return covered, float((square.amin(1) <= radius**2).float().mean())
""",
    ),
    (
        "numpy",
        """
import numpy as np


def mode_coverage(samples, modes, radius):
    s, m = samples.detach().numpy(), modes.detach().numpy()
    d = np.sqrt(((s[:, None] - m[None]) ** 2).sum(-1))
    return int((d.min(0) <= radius).sum()), float((d.min(1) <= radius).mean())
""",
    ),
)

REPLAY_BUFFER = (
    (
        "a deque of rows",
        """
from collections import deque


class ReplayBuffer:
    def __init__(self, capacity):
        self.rows = deque(maxlen=capacity)

    def __len__(self):
        return len(self.rows)

    def push(self, batch):
        for row in batch.detach():
            self.rows.append(row.clone())

    def sample(self, n, generator):
        picks = torch.randint(0, len(self.rows), (n,), generator=generator)
        return torch.stack([self.rows[int(i)] for i in picks])
""",
    ),
    (
        "a ring in memory that is allocated once",
        """
class ReplayBuffer:
    def __init__(self, capacity):
        self.capacity, self.pushed, self.memory = capacity, 0, None

    def __len__(self):
        return min(self.pushed, self.capacity)

    def push(self, batch):
        batch = batch.detach()
        if self.memory is None:
            self.memory = batch.new_empty(self.capacity, batch.shape[1])
        for row in batch:
            self.memory[self.pushed % self.capacity] = row
            self.pushed += 1

    def sample(self, n, generator):
        u = torch.rand(n, generator=generator, dtype=torch.float64)
        return self.memory[: len(self)].index_select(0, (u * len(self)).long())
""",
    ),
    (
        "batches, cut at the front, and multinomial",
        """
class ReplayBuffer:
    def __init__(self, capacity):
        self.capacity = capacity
        self.batches = []

    def __len__(self):
        return sum(len(batch) for batch in self.batches)

    def push(self, batch):
        self.batches.append(batch.detach().clone())
        while len(self) > self.capacity:
            surplus = len(self) - self.capacity
            if surplus >= len(self.batches[0]):
                self.batches.pop(0)
            else:
                self.batches[0] = self.batches[0][surplus:]

    def sample(self, n, generator):
        weights = torch.ones(len(self))
        picks = torch.multinomial(weights, n, replacement=True, generator=generator)
        return torch.cat(self.batches)[picks]
""",
    ),
    (
        "a module with a buffer, and roll",
        """
class ReplayBuffer(nn.Module):
    def __init__(self, capacity):
        super().__init__()
        self.capacity = capacity
        self.register_buffer("memory", None)
        self.count = 0

    def __len__(self):
        return self.count

    @torch.no_grad()
    def push(self, batch):
        batch = batch[-self.capacity:]
        if self.memory is None:
            self.memory = torch.zeros(self.capacity, *batch.shape[1:], dtype=batch.dtype)
        self.memory = torch.roll(self.memory, -len(batch), 0)
        self.memory[-len(batch):] = batch
        self.count = min(self.capacity, self.count + len(batch))

    def sample(self, n, generator):
        picks = torch.randint(self.capacity - self.count, self.capacity, (n,), generator=generator)
        return self.memory[picks]
""",
    ),
)

MINIBATCH_DISCRIMINATION = (
    (
        "cdist for each way of comparing",
        """
def minibatch_discrimination(features, T):
    columns = []
    for k in range(T.shape[1]):
        m = features @ T[:, k]
        columns.append(torch.exp(-torch.cdist(m, m, p=1)).sum(1) - 1)
    return torch.hstack([features, torch.stack(columns, dim=1)])
""",
    ),
    (
        "row by row, without the row itself",
        """
def minibatch_discrimination(features, T):
    b, o = len(features), T.shape[1]
    m = (features @ T.reshape(T.shape[0], -1)).reshape(b, *T.shape[1:])
    rows = []
    for i in range(b):
        others = torch.cat([m[:i], m[i + 1 :]])
        rows.append(torch.exp(-(others - m[i]).abs().sum(2)).sum(0))
    return torch.cat([features, torch.stack(rows)], 1)
""",
    ),
    (
        "half of the pairs, by index",
        """
def minibatch_discrimination(features, T):
    b = features.shape[0]
    m = torch.einsum("bf,fok->bok", features, T)
    i, j = torch.triu_indices(b, b, offset=1, device=features.device)
    close = torch.exp(-(m[i] - m[j]).abs().sum(-1))
    added = m.new_zeros(b, m.shape[1]).index_add(0, i, close).index_add(0, j, close)
    return torch.cat((features, added), dim=-1)
""",
    ),
)

ALTERNATES = tuple(
    (exercise, name, source)
    for exercise, alternates in (
        ("discriminator_loss", DISCRIMINATOR_LOSS),
        ("generator_loss", GENERATOR_LOSS),
        ("optimal_discriminator", OPTIMAL_DISCRIMINATOR),
        ("Generator", NETWORKS),
        ("discriminator_step", DISCRIMINATOR_STEP),
        ("generator_step", GENERATOR_STEP),
        ("train_gan", TRAIN_GAN),
        ("mode_coverage", MODE_COVERAGE),
        ("ReplayBuffer", REPLAY_BUFFER),
        ("minibatch_discrimination", MINIBATCH_DISCRIMINATION),
    )
    for name, source in alternates
)

"""Right answers to 06-vae that nobody expects: (exercise, name, source).

No check may cost them a point.
"""

REPARAMETERIZE = (
    (
        "the root of the variance",
        """
def reparameterize(mu, logvar, eps):
    return torch.addcmul(mu, logvar.exp().sqrt(), eps)
""",
    ),
    (
        "torch.distributions, by its location and scale",
        """
def reparameterize(mu, logvar, eps):
    scale = torch.distributions.transforms.AffineTransform(mu, logvar.mul(0.5).exp())
    return scale(eps)
""",
    ),
    (
        "a power of e",
        """
def reparameterize(mu, logvar, eps):
    return eps * math.e ** (logvar / 2) + mu
""",
    ),
)

GAUSSIAN_KL = (
    (
        "the form of the paper",
        """
def gaussian_kl(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=-1)
""",
    ),
    (
        "torch.distributions",
        """
def gaussian_kl(mu, logvar):
    q = torch.distributions.Normal(mu, (logvar / 2).exp())
    p = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    return torch.distributions.kl_divergence(q, p).sum(1)
""",
    ),
    (
        "a product with ones",
        """
def gaussian_kl(mu, logvar):
    each = mu * mu + torch.expm1(logvar) - logvar
    return each @ mu.new_full((mu.shape[1],), 0.5)
""",
    ),
)

BERNOULLI_NLL = (
    (
        "softplus, and a variance",
        """
def bernoulli_nll(logits, target):
    each = nn.functional.softplus(logits) - target * logits
    return each.reshape(logits.shape[0], -1).sum(-1)


def gaussian_nll(mean, target, sigma=1.0):
    variance = (sigma * torch.ones_like(mean)) ** 2
    each = 0.5 * ((mean - target) ** 2 / variance + variance.log() + math.log(2 * math.pi))
    return each.reshape(mean.shape[0], -1).sum(-1)
""",
    ),
    (
        "logsigmoid, and torch.distributions",
        """
def bernoulli_nll(logits, target):
    log = nn.functional.logsigmoid
    each = target * log(logits) + (1 - target) * log(-logits)
    return -each.sum(dim=tuple(range(1, each.dim()))) if each.dim() > 1 else -each


def gaussian_nll(mean, target, sigma=1.0):
    each = torch.distributions.Normal(mean, sigma, validate_args=False).log_prob(target)
    return -each.sum(dim=tuple(range(1, each.dim()))) if each.dim() > 1 else -each
""",
    ),
    (
        "a column for what has no pixels, and logaddexp",
        """
def total(each):
    return each.unsqueeze(-1).flatten(1).sum(1)


def bernoulli_nll(logits, target):
    return total(torch.logaddexp(logits, torch.zeros_like(logits)) - logits * target)


def gaussian_nll(mean, target, sigma=1.0):
    sigma = sigma if isinstance(sigma, torch.Tensor) else mean.new_tensor(sigma)
    score = (mean - target) / sigma
    return total(0.5 * score * score + torch.log(sigma * math.sqrt(2 * math.pi)))
""",
    ),
    (
        "max(x, 0) − x·target + log1p",
        """
def bernoulli_nll(logits, target):
    each = logits.clamp(min=0) - logits * target + torch.log1p(torch.exp(-logits.abs()))
    return each.flatten(start_dim=1).sum(1) if each.dim() > 1 else each


def gaussian_nll(mean, target, sigma=1.0):
    log_sigma = torch.log(sigma) if torch.is_tensor(sigma) else math.log(sigma)
    each = 0.5 * ((target - mean) / sigma).square() + log_sigma + 0.5 * math.log(2 * math.pi)
    return each.flatten(start_dim=1).sum(1) if each.dim() > 1 else each
""",
    ),
    (
        "nn losses as objects",
        """
def bernoulli_nll(logits, target):
    each = nn.BCEWithLogitsLoss(reduction="none")(logits, target)
    while each.dim() > 1:
        each = each.sum(dim=-1)
    return each


def gaussian_nll(mean, target, sigma=1.0):
    var = torch.as_tensor(sigma, dtype=mean.dtype, device=mean.device).square().expand_as(mean)
    each = nn.GaussianNLLLoss(full=True, reduction="none", eps=0.0)(mean, target, var)
    while each.dim() > 1:
        each = each.sum(dim=-1)
    return each
""",
    ),
)

NEGATIVE_ELBO = (
    (
        "two means",
        """
def negative_elbo(nll, kl, beta=1.0):
    return nll.mean() + beta * kl.mean()
""",
    ),
    (
        "a sum over the number",
        """
def negative_elbo(nll, kl, beta=1.0):
    return torch.add(nll, kl, alpha=beta).sum() / nll.numel()
""",
    ),
    (
        "a product with a row of ones",
        """
def negative_elbo(nll, kl, beta=1.0):
    return (nll + beta * kl).dot(torch.full_like(nll, 1 / len(nll)))
""",
    ),
)

VAE = (
    (
        "two heads and tanh",
        """
class VAE(nn.Module):
    def __init__(self, input_dim, hidden_dim, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim
        self.body = nn.Linear(input_dim, hidden_dim)
        self.mu, self.logvar = nn.Linear(hidden_dim, latent_dim), nn.Linear(hidden_dim, latent_dim)
        self.out = nn.Sequential(nn.Linear(latent_dim, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, input_dim))

    def encode(self, x):
        h = torch.tanh(self.body(x))
        return self.mu(h), self.logvar(h)

    def decode(self, z):
        return self.out(z)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        if eps is None:
            eps = torch.zeros_like(mu)
        return self.decode(reparameterize(mu, logvar, eps)), mu, logvar
""",
    ),
    (
        "two hidden layers with layer normalisation",
        """
class VAE(nn.Module):
    def __init__(self, input_dim, hidden_dim, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim
        def net(a, b):
            return nn.Sequential(
                nn.Linear(a, hidden_dim), nn.LayerNorm(hidden_dim), nn.SiLU(),
                nn.Linear(hidden_dim, hidden_dim), nn.SiLU(), nn.Linear(hidden_dim, b))
        self.there, self.back = net(input_dim, 2 * latent_dim), net(latent_dim, input_dim)

    def encode(self, x):
        return tuple(self.there(x).split(self.latent_dim, dim=1))

    def decode(self, z):
        return self.back(z)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        return [self.decode(mu if eps is None else mu + (logvar / 2).exp() * eps), mu, logvar]
""",
    ),
    (
        "weights of its own",
        """
class VAE(nn.Module):
    def __init__(self, input_dim, hidden_dim, latent_dim):
        super().__init__()
        shapes = [(input_dim, hidden_dim), (hidden_dim, 2 * latent_dim), (latent_dim, hidden_dim), (hidden_dim, input_dim)]
        self.weights = nn.ParameterList(torch.randn(a, b) / a**0.5 for a, b in shapes)
        self.biases = nn.ParameterList(torch.randn(b) / 10 for a, b in shapes)
        self.latent_dim = latent_dim

    def _run(self, x, first):
        h = (x @ self.weights[first] + self.biases[first]).relu()
        return h @ self.weights[first + 1] + self.biases[first + 1]

    def encode(self, x):
        both = self._run(x, 0).reshape(len(x), 2, -1)
        return both[:, 0], both[:, 1]

    def decode(self, z):
        return self._run(z, 2)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        z = mu if eps is None else reparameterize(mu, logvar, eps)
        return self.decode(z), mu, logvar
""",
    ),
    (
        "heads without biases, constants in buffers, namedtuples",
        """
from collections import namedtuple
Output = namedtuple("Output", "logits mu logvar")
Code = namedtuple("Code", "mu logvar")


class Half(nn.Module):
    def __init__(self, a, h, b):
        super().__init__()
        self.register_buffer("one_half", torch.tensor(0.5))
        self.last = nn.Linear(h, b, bias=False)
        self.first = nn.Linear(a, h)

    def forward(self, x):
        return self.last(nn.functional.relu(self.first(x), inplace=True))


class VAE(nn.Module):
    def __init__(self, input_dim, hidden_dim, latent_dim):
        super().__init__()
        self.decoding = Half(latent_dim, hidden_dim, input_dim)
        self.logvar = Half(input_dim, hidden_dim, latent_dim)
        self.mean = Half(input_dim, hidden_dim, latent_dim)
        self.latent_dim = latent_dim

    def encode(self, x):
        return Code(self.mean(x), self.logvar(x))

    def decode(self, z):
        return self.decoding(z)

    def forward(self, x, eps=None):
        code = self.encode(x)
        z = code.mu.clone()
        if eps is not None:
            z += torch.exp(self.mean.one_half * code.logvar) * eps
        return Output(self.decode(z), *code)
""",
    ),
    (
        "biasless ReLU all through",
        """
class VAE(nn.Module):
    def __init__(self, input_dim, hidden_dim, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 2 * latent_dim, bias=False))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, input_dim, bias=False))

    def encode(self, x):
        h = self.encoder(x)
        return h[:, 0::2], h[:, 1::2]

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        return self.decode(mu if eps is None else reparameterize(mu, logvar, eps)), mu, logvar
""",
    ),
)

TRAIN_VAE = (
    (
        "epochs of a new order, the noise drawn first, AdamW",
        """
def train_vae(model, data, steps, batch_size, lr, beta, generator):
    optimizer = torch.optim.AdamW(model.parameters(), lr)
    left, losses = torch.empty(0, dtype=torch.long), []
    while len(losses) < steps:
        eps = torch.randn((batch_size, model.latent_dim), generator=generator)
        while len(left) < batch_size:
            left = torch.cat([left, torch.randperm(len(data), generator=generator)])
        rows, left = left[:batch_size], left[batch_size:]
        x = data[rows]
        mu, logvar = model.encode(x)
        logits = model.decode(reparameterize(mu, logvar, eps))
        loss = negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses
""",
    ),
    (
        "RMSprop, and rows without replacement within a batch",
        """
def train_vae(model, data, steps, batch_size, lr, beta, generator):
    model.train()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=lr)
    losses = torch.empty(steps)
    for step in range(steps):
        rows = torch.cat([torch.randperm(len(data), generator=generator) for _ in range(-(-batch_size // len(data)))])
        x = data.index_select(0, rows[:batch_size])
        logits, mu, logvar = model(x, torch.randn(len(x), model.latent_dim, generator=generator))
        loss = (bernoulli_nll(logits, x) + beta * gaussian_kl(mu, logvar)).sum() / len(x)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        losses[step] = loss.detach()
        optimizer.step()
    return losses.tolist()
""",
    ),
    (
        "gradients by torch.autograd.grad, and Adam by hand",
        """
def train_vae(model, data, steps, batch_size, lr, beta, generator):
    parameters = list(model.parameters())
    means = [torch.zeros_like(p) for p in parameters]
    squares = [torch.zeros_like(p) for p in parameters]
    losses = []
    for step in range(1, steps + 1):
        u = torch.rand(batch_size, generator=generator, dtype=torch.float64)
        x = data[(u * len(data)).long()]
        eps = torch.randn(model.latent_dim, batch_size, generator=generator).T
        logits, mu, logvar = model(x, eps)
        loss = negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, g, m, s in zip(parameters, gradients, means, squares):
                m.lerp_(g, 0.1)
                s.lerp_(g * g, 0.001)
                p -= lr * (m / (1 - 0.9**step)) / ((s / (1 - 0.999**step)).sqrt() + 1e-8)
        losses.append(loss.item())
    return losses
""",
    ),
    (
        "DataLoader, its last batch dropped",
        """
def train_vae(model, data, steps, batch_size, lr, beta, generator):
    from torch.utils.data import DataLoader, TensorDataset
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    loader = DataLoader(TensorDataset(data), batch_size, shuffle=True, drop_last=True, generator=generator)
    losses = []
    while True:
        for (x,) in loader:
            if len(losses) == steps:
                return losses
            eps = torch.randn(len(x), model.latent_dim, generator=generator)
            logits, mu, logvar = model(x, eps)
            loss = negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
""",
    ),
    (
        "a permutation for each step, encode called twice, float64 noise",
        """
def train_vae(model, data, steps, batch_size, lr, beta, generator):
    optimizer = torch.optim.NAdam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        x = data[torch.randperm(len(data), generator=generator)[:batch_size]]
        eps = torch.randn(batch_size, model.latent_dim, generator=generator, dtype=torch.float64).to(x.dtype)
        kl = gaussian_kl(*model.encode(x))
        nll = bernoulli_nll(model(x, eps)[0], x)
        loss = negative_elbo(nll, kl, beta)
        for p in model.parameters():
            p.grad = None
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
""",
    ),
    (
        "each batch in two parts, gradients added up",
        """
def train_vae(model, data, steps, batch_size, lr, beta, generator):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        total = 0.0
        for part in range(2):
            size = batch_size // 2 if part else batch_size - batch_size // 2
            x = data[torch.randint(len(data), (size,), generator=generator)]
            eps = torch.randn(size, model.latent_dim, generator=generator)
            logits, mu, logvar = model(x, eps)
            loss = (bernoulli_nll(logits, x) + beta * gaussian_kl(mu, logvar)).sum() / batch_size
            loss.backward()
            total += loss.item()
        optimizer.step()
        losses.append(total)
    return losses
""",
    ),
    (
        "a short last batch, averaged by rows",
        """
def train_vae(model, data, steps, batch_size, lr, beta, generator):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    order = []
    while len(losses) < steps:
        if not order:
            order = list(torch.randperm(len(data), generator=generator).split(batch_size))
        x = data[order.pop()]
        eps = torch.randn(len(x), model.latent_dim, generator=generator)
        logits, mu, logvar = model(x, eps)
        loss = negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
""",
    ),
)

SAMPLE = (
    (
        "one at a time, without gradients",
        """
def sample(model, n, generator):
    with torch.no_grad():
        rows = [torch.randn(1, model.latent_dim, generator=generator) for _ in range(n)]
        return torch.cat([torch.sigmoid(model.decode(z)) for z in rows])
""",
    ),
    (
        "torch.normal, transposed",
        """
def sample(model, n, generator):
    z = torch.normal(0.0, 1.0, (model.latent_dim, n), generator=generator).T
    return 1 / (1 + torch.exp(-model.decode(z)))
""",
    ),
    (
        "noise drawn in place, in evaluation mode",
        """
def sample(model, n, generator):
    model.eval()
    return model.decode(torch.empty(n, model.latent_dim).normal_(generator=generator)).sigmoid()
""",
    ),
    (
        "inference mode, in chunks",
        """
@torch.inference_mode()
def sample(model, n, generator):
    z = torch.randn(n, model.latent_dim, generator=generator)
    return torch.cat([torch.special.expit(model.decode(part)) for part in z.split(7)])
""",
    ),
)

SLERP = (
    (
        "by Gram and Schmidt, in loops",
        """
def slerp(z0, z1, t):
    rows = zip(z0.reshape(-1, z0.shape[-1]), z1.reshape(-1, z1.shape[-1]))
    return torch.stack([one(a, b, t) for a, b in rows]).reshape(z0.shape)


def one(a, b, t):
    if a.norm() == 0 or b.norm() == 0:
        return (1 - t) * a + t * b
    u, v = a / a.norm(), b / b.norm()
    across = v - (u @ v) * u
    omega = torch.atan2(across.norm(), u @ v)
    if torch.sin(omega) < 1e-7:
        return (1 - t) * a + t * b
    return (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)


def interpolate(model, x0, x1, steps):
    mu0, _ = model.encode(x0[None])
    mu1, _ = model.encode(x1[None])
    return torch.cat([torch.sigmoid(model.decode(slerp(mu0, mu1, float(t)))) for t in torch.linspace(0, 1, steps)])
""",
    ),
    (
        "acos of a clipped cosine, and a tolerance",
        """
def slerp(z0, z1, t):
    n0, n1 = z0.norm(dim=-1, keepdim=True), z1.norm(dim=-1, keepdim=True)
    cos = ((z0 * z1).sum(-1, keepdim=True) / (n0 * n1).clamp_min(1e-30)).clamp(-1 + 1e-12, 1 - 1e-12)
    omega = cos.acos()
    sin = omega.sin()
    line = (sin < 1e-5) | (n0 == 0) | (n1 == 0)
    arc = (((1 - t) * omega).sin() * z0 + (t * omega).sin() * z1) / sin.clamp_min(1e-6)
    return torch.where(line, torch.lerp(z0, z1, t), arc)


def interpolate(model, x0, x1, steps):
    mu = model.encode(torch.stack((x0, x1)))[0]
    z = [slerp(mu[0], mu[1], k / (steps - 1)) for k in range(steps)]
    return model.decode(torch.stack(z)).sigmoid()
""",
    ),
    (
        "the reference's angle, all steps at once",
        """
def slerp(z0, z1, t):
    a, b = z0.norm(dim=-1, keepdim=True), z1.norm(dim=-1, keepdim=True)
    u, v = b * z0, a * z1
    omega = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    line = (omega.sin().abs() < 1e-6) | (a * b == 0)
    safe = torch.where(line, torch.ones_like(omega), omega)
    w0 = torch.where(line, torch.full_like(omega, 1) * (1 - t), torch.sin((1 - t) * safe) / safe.sin())
    w1 = torch.where(line, torch.full_like(omega, 1) * t, torch.sin(t * safe) / safe.sin())
    return w0 * z0 + w1 * z1


def interpolate(model, x0, x1, steps):
    mu, _ = model.encode(torch.stack([x0, x1]))
    t = torch.linspace(0, 1, steps, dtype=mu.dtype)[:, None]
    return model.decode(slerp(mu[:1].expand(steps, -1), mu[1:].expand(steps, -1), t)).sigmoid()
""",
    ),
    (
        "a mask for what is flat, without gradients in interpolate",
        """
def slerp(z0, z1, t):
    a = torch.linalg.vector_norm(z0, dim=-1, keepdim=True)
    b = torch.linalg.vector_norm(z1, dim=-1, keepdim=True)
    dot = torch.einsum("...z,...z->...", z0, z1).unsqueeze(-1)
    safe = torch.where(a * b > 0, a * b, torch.ones_like(a))
    c = (dot / safe).clamp(-1, 1)
    flat = (a * b == 0) | (1 - c.abs() < 1e-12)
    w = torch.acos(c.masked_fill(flat, 0.0))
    s = torch.sin(w)
    p = ((1 - t) * w).sin() / s
    q = (t * w).sin() / s
    return z0 * torch.where(flat, torch.full_like(p, 1 - t), p) + z1 * torch.where(flat, torch.full_like(q, t), q)


def interpolate(model, x0, x1, steps):
    with torch.no_grad():
        both = torch.cat([x0.unsqueeze(0), x1.unsqueeze(0)])
        first, second = model.encode(both)[0].unbind(0)
        out = torch.empty(steps, x0.shape[-1], dtype=x0.dtype)
        for i in range(steps):
            out[i] = model.decode(slerp(first, second, i / (steps - 1))[None])[0].sigmoid()
        return out
""",
    ),
)

BOUND = (
    (
        "all draws at once, by torch.distributions",
        """
def importance_weighted_bound(model, x, eps):
    k, b, n = eps.shape
    mu, logvar = model.encode(x)
    z = mu + (0.5 * logvar).exp() * eps
    logits = model.decode(z.reshape(k * b, n)).reshape(k, b, -1)
    normal = torch.distributions.Normal
    log_p = torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(x.expand(k, -1, -1)).sum(-1)
    log_w = normal(0.0, 1.0).log_prob(z).sum(-1) - normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(-1)
    return torch.logsumexp(log_p + log_w, 0) - math.log(k)
""",
    ),
    (
        "a running logaddexp",
        """
def importance_weighted_bound(model, x, eps):
    mu, logvar = model.encode(x)
    total = None
    for e in eps:
        z = reparameterize(mu, logvar, e)
        w = ((e * e + logvar - z * z) / 2).sum(1) - bernoulli_nll(model.decode(z), x)
        total = w if total is None else torch.logaddexp(total, w)
    return total - math.log(eps.size(0))
""",
    ),
    (
        "row by row, the largest taken out by hand",
        """
def importance_weighted_bound(model, x, eps):
    rows = []
    for i in range(len(x)):
        k = len(eps)
        mu, logvar = model.encode(x[i : i + 1].repeat(k, 1))
        z = reparameterize(mu, logvar, eps[:, i])
        w = (eps[:, i] ** 2 + logvar - z**2).sum(1) / 2 - bernoulli_nll(model.decode(z), x[i : i + 1].repeat(k, 1))
        top = w.max().detach()
        rows.append(top + (w - top).exp().mean().log())
    return torch.stack(rows)
""",
    ),
    (
        "by forward",
        """
def importance_weighted_bound(model, x, eps):
    weights = []
    for noise in eps.unbind():
        logits, mu, logvar = model(x, noise)
        z = reparameterize(mu, logvar, noise)
        weights.append(-bernoulli_nll(logits, x) + 0.5 * ((noise**2).sum(-1) + logvar.sum(-1) - (z**2).sum(-1)))
    return torch.log_softmax(torch.stack(weights), 0).neg().add(torch.stack(weights))[0] - math.log(len(weights))
""",
    ),
    (
        "repeat_interleave",
        """
def importance_weighted_bound(model, x, eps):
    k, b, _ = eps.shape
    noise = eps.transpose(0, 1).reshape(b * k, -1)
    xs = x.repeat_interleave(k, dim=0)
    mu, logvar = model.encode(xs)
    z = torch.addcmul(mu, torch.exp(0.5 * logvar), noise)
    log_p = -bernoulli_nll(model.decode(z), xs) - 0.5 * (z * z).sum(1)
    log_q = -0.5 * (noise * noise + logvar).sum(1)
    return torch.logsumexp((log_p - log_q).view(b, k), dim=1) - torch.log(torch.tensor(float(k)))
""",
    ),
)

ALTERNATES = tuple(
    (exercise, name, source)
    for exercise, each in (
        ("reparameterize", REPARAMETERIZE),
        ("gaussian_kl", GAUSSIAN_KL),
        ("bernoulli_nll", BERNOULLI_NLL),
        ("negative_elbo", NEGATIVE_ELBO),
        ("VAE", VAE),
        ("train_vae", TRAIN_VAE),
        ("sample", SAMPLE),
        ("slerp", SLERP),
        ("importance_weighted_bound", BOUND),
    )
    for name, source in each
)
